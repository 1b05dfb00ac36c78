from django.contrib.auth import get_user_model
from rest_framework.authentication import BaseAuthentication


class GateAuthentication(BaseAuthentication):
    """The account that Caddy's djoser_auth let through, under the id that it has there."""

    def authenticate(self, request):
        if "HTTP_REMOTE_ID" not in request.META:
            return None
        User = get_user_model()
        pk, username = int(request.META["HTTP_REMOTE_ID"]), request.META["HTTP_REMOTE_USER"]
        user = User.objects.filter(pk=pk).first() or User(pk=pk)
        if user.username != username:  # new, or renamed
            user.username = username
            user.email = request.META.get("HTTP_REMOTE_EMAIL", "")
            user.set_unusable_password()
            user.save()
        return user, None

    def authenticate_header(self, request):
        return "Token"
