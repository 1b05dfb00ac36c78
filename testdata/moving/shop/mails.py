"""Mails of the project's own: Debian's djoser comes without django-templated-mail."""
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from djoser.utils import encode_uid


class Activation:
    def __init__(self, request, context):
        self.user = context["user"]

    def send(self, to):
        path = settings.DJOSER["ACTIVATION_URL"].format(uid=encode_uid(self.user.pk), token=default_token_generator.make_token(self.user))
        send_mail("Welcome", f"http://{settings.DOMAIN}/{path}", None, to)
