#!/usr/bin/python3
"""Makes the dumps beside this file with Django's own dumpdata.

The data is made up; no person is behind it. What was used:

    apt-get install python3-django python3-djangorestframework python3-argon2 python3-bcrypt
    python3 make.py                   # writes auth.json, full.json, natural.json, custom.json
    python3 make.py load export.json  # loads an export into an empty Django, dumps it, writes it to stdout

Passwords are "password-of-<username>", and tokens are random. The second form
shows that Django takes an export back; custom.json has the users of a model of
its own, which "load" doesn't take.
"""
import datetime
import io
import os
import subprocess
import sys

import django
from django.conf import settings
from django.core.management import call_command

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
HASHERS = [
    "PBKDF2PasswordHasher", "PBKDF2SHA1PasswordHasher", "Argon2PasswordHasher", "BCryptSHA256PasswordHasher",
    "BCryptPasswordHasher", "ScryptPasswordHasher", "SHA1PasswordHasher", "MD5PasswordHasher",
    "UnsaltedSHA1PasswordHasher", "UnsaltedMD5PasswordHasher",
]


def configure(custom):
    from django.contrib.auth import hashers

    there = ["django.contrib.auth.hashers." + name for name in HASHERS if hasattr(hashers, name)]
    apps = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "rest_framework.authtoken"]
    options = {"AUTH_USER_MODEL": "members.Member"} if custom else {}
    if custom:
        apps.append("members")
    settings.configure(
        INSTALLED_APPS=apps, PASSWORD_HASHERS=there, USE_TZ=True, SECRET_KEY="of no use",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField", **options)


def dump(name, *args, **kwargs):
    out = io.StringIO()
    call_command("dumpdata", *args, stdout=out, **kwargs)
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
        f.write(out.getvalue())


def make_users():
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import Group, Permission, User
    from rest_framework.authtoken.models import Token

    editors = Group.objects.create(name="editors")
    Group.objects.create(name="nobody's group")
    readers = Group.objects.create(name="Leser & Lecteurs, все")
    editors.permissions.set(Permission.objects.filter(codename__in=["add_user", "change_user"]))
    joined = datetime.datetime(2019, 3, 4, 5, 6, 7, 123456, tzinfo=datetime.timezone.utc)

    def user(name, hasher="pbkdf2_sha256", **fields):
        u = User(username=name, email=name.split("@")[0] + "@example.com", **fields)
        u.password = make_password("password-of-" + name, hasher=hasher)
        u.date_joined = joined + datetime.timedelta(days=User.objects.count(), microseconds=User.objects.count() * 61)
        u.save()
        return u

    from django.contrib.auth.hashers import get_hashers

    for h in get_hashers():
        u = user(h.algorithm, h.algorithm)
        u.last_login = joined + datetime.timedelta(days=400)
        u.save()
        Token.objects.create(user=u)
    root = user("root", is_staff=True, is_superuser=True, first_name="Ro", last_name='Ot "the\\first"\n')
    root.groups.set([editors, readers])
    root.user_permissions.set(Permission.objects.filter(codename="delete_group"))
    Token.objects.create(user=root)
    gone = user("gone", is_active=False)
    Token.objects.create(user=gone)
    nobody = user("nobody")
    nobody.set_unusable_password()
    nobody.email = ""
    nobody.last_login = joined.replace(microsecond=7)  # dumped as .000
    nobody.date_joined = joined.replace(microsecond=0)
    nobody.save()
    for name in ["Alice", "alice", "björn.ålund", "ελένη", "анна@example.com", "王小明", "o'neil".replace("'", "+"), "x" * 150]:
        user(name).groups.add(readers)
    user("far", id=70001)


def make_members():
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group
    from rest_framework.authtoken.models import Token

    Member = get_user_model()
    club = Group.objects.create(name="club")
    for i, name in enumerate(["Ann", "bob", "carla"]):
        m = Member(email=name + "@Example.com", company="Ann & Sons" if i else "", points=i * 10, newsletter=i == 1)
        m.born = datetime.date(1990, 1, 1 + i) if i else None
        m.date_joined = datetime.datetime(2020, 2, 29, 12, 0, i, tzinfo=datetime.timezone.utc)
        m.set_password("password-of-" + name)
        m.save()
        m.groups.add(club)
        Token.objects.create(user=m)


def main():
    custom = sys.argv[1:] == ["custom"]
    configure(custom)
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    if custom:
        make_members()
        dump("custom.json", "members.Member", "auth.group", "authtoken.token")
        return
    if sys.argv[1:2] == ["load"]:
        call_command("loaddata", sys.argv[2], verbosity=0)
        call_command("dumpdata", "auth.user", "auth.group")
        return
    make_users()
    dump("auth.json", "auth.user", "auth.group", "authtoken.token")
    dump("full.json", "contenttypes", "auth", "authtoken", indent=2)
    dump("natural.json", "auth.group", "auth.user", "authtoken.token", use_natural_foreign_keys=True)
    subprocess.run([sys.executable, __file__, "custom"], check=True)


if __name__ == "__main__":
    main()
