"""Notifications and rules -> deliveries, and deliveries -> webhooks and mails: the part of reporting that is never replayed."""
