"""Answers with the paths that programs in Python take out of a target, one a line."""
import sys
from urllib.parse import unquote, urljoin, urlparse, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server


class Handler(WSGIRequestHandler):
    def get_environ(self):
        return super().get_environ() | {"TARGET": self.requestline.split(" ")[1]}

    def log_message(self, *args):
        pass


def application(environ, start_response):
    target = environ["TARGET"]
    readings = [environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")]
    for text in target, unquote(target):
        for parse in urlparse, urlsplit, lambda t: urlparse(urljoin("http://back.end/", t)):
            try:
                path = parse(text).path
            except ValueError:
                continue
            readings += [path, unquote(path)]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\n".join(readings).encode("utf-8", "replace")]


with make_server("127.0.0.1", 0, application, handler_class=Handler) as server:
    print("127.0.0.1:%d" % server.server_port, flush=True)
    server.serve_forever()
