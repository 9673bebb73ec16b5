"""A call from another part of the house over RabbitMQ -> a method of the service, and its answer back."""

from nameko import rpc as nameko_rpc

from plumbing.link import LinkedConsumer


class RpcConsumer(nameko_rpc.RpcConsumer):
    """nameko's, on a link of ours."""

    queue_consumer = LinkedConsumer()


class Rpc(nameko_rpc.Rpc):
    """Decorates a service method that others may call by name. Arguments and answer are plain JSON."""

    rpc_consumer = RpcConsumer()


rpc = Rpc.decorator
