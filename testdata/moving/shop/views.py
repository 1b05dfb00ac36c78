from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response


@api_view()
@permission_classes([IsAuthenticated])
def whoami(request):
    return Response({"id": request.user.pk, "username": request.user.username, "email": request.user.email})
