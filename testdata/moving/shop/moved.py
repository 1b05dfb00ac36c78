"""The project after it moved: Caddy has the accounts and logs people in."""
from .settings import *  # noqa: F403

INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "shop"]
ROOT_URLCONF = "shop.movedurls"
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["shop.gate.GateAuthentication"]}
