"""A user model of a project's own, without a username."""
from django.contrib.auth.models import AbstractUser
from django.db import models


class Member(AbstractUser):
    username = None
    email = models.EmailField(unique=True)
    company = models.CharField(max_length=80, blank=True)
    born = models.DateField(null=True)
    points = models.IntegerField(default=0)
    newsletter = models.BooleanField(default=False)
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []
