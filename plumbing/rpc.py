"""A call by name -> the answer of a service over RabbitMQ, or an error that says which part of the house is silent.

For plain threads and commands (the gateway, the operator's command): one proxy a call, no eventlet.
"""

from typing import Any

import amqp
from kombu import Connection
from kombu.exceptions import OperationalError
from nameko.exceptions import MethodNotFound, RemoteError, RpcTimeout, UnknownService
from nameko.standalone.rpc import ClusterRpcProxy


class ServiceSilent(Exception):
    """A service did not answer: it, or RabbitMQ, is not running. Nothing is known of what it did."""


class ServiceRefused(Exception):
    """A service answered with an error."""


def call(rabbitmq_url: str, service: str, method: str, seconds: float = 30, **arguments: Any) -> Any:
    """What service.method(**arguments) answers; ServiceSilent or ServiceRefused."""
    try:
        with ClusterRpcProxy({"AMQP_URI": rabbitmq_url}, timeout=seconds) as cluster:
            return getattr(getattr(cluster, service), method)(**arguments)
    except (UnknownService, RpcTimeout) as error:
        raise ServiceSilent(f"the service {service} does not answer: is it running? (trueup doctor)") from error
    except (RemoteError, MethodNotFound) as error:
        raise ServiceRefused(f"{service}.{method}: {error}") from error
    except (OSError, amqp.AMQPError, OperationalError) as error:
        raise _unreachable(service, error) from error


def replicas(rabbitmq_url: str, service: str) -> int:
    """How many processes of a service stand ready to answer; ServiceSilent when there is none."""
    try:
        with Connection(rabbitmq_url, connect_timeout=10) as connection:
            found = int(connection.default_channel.queue_declare(f"rpc-{service}", passive=True).consumer_count)
    except amqp.NotFound:
        found = 0
    except (OSError, amqp.AMQPError, OperationalError) as error:
        raise _unreachable(service, error) from error
    if not found:
        raise ServiceSilent(f"the service {service} does not run (trueup doctor)")
    return found


def _unreachable(service: str, error: Exception) -> ServiceSilent:
    return ServiceSilent(f"RabbitMQ cannot be reached, so {service} cannot be asked: {error}")
