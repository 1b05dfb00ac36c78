"""A Django project with djoser 2, before it moves."""
import os
from datetime import timedelta
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "made up for tests, and long enough for a key of HS256"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3", "CONN_MAX_AGE": None}}
INSTALLED_APPS = [
    "django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "rest_framework.authtoken", "djoser", "shop",
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

# Argon2 for users who come back.
PASSWORD_HASHERS = ["django.contrib.auth.hashers." + name for name in ("PBKDF2PasswordHasher", "Argon2PasswordHasher")]

DOMAIN = "shop.example.com"
SITE_NAME = "Shop"
DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ.get("EMAIL_PORT", "25"))

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework_simplejwt.authentication.JWTAuthentication",
    ],
}
DJOSER = {
    "SEND_ACTIVATION_EMAIL": "NO_ACTIVATION" not in os.environ,  # for benchmarks
    "ACTIVATION_URL": "#/activate/{uid}/{token}",
    "PASSWORD_RESET_CONFIRM_URL": "#/password/reset/{uid}/{token}",
    "EMAIL": {"activation": "shop.mails.Activation"},
    "SET_PASSWORD_RETYPE": True,
    "PERMISSIONS": {"user_list": ["rest_framework.permissions.IsAdminUser"]},
}
SIMPLE_JWT = {
    "AUTH_HEADER_TYPES": ("JWT", "Bearer"),
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10),
    "ROTATE_REFRESH_TOKENS": True,
}
