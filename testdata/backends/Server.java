import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;

/** Answers with the paths that programs in Java take out of a target, one a line. */
class Server {
	public static void main(String[] args) throws Exception {
		HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 0);
		server.createContext("/", exchange -> {
			byte[] body = String.join("\n", readings(exchange.getRequestURI())).getBytes("UTF-8");
			exchange.sendResponseHeaders(200, body.length);
			exchange.getResponseBody().write(body);
			exchange.close();
		});
		server.start();
		System.out.println("127.0.0.1:" + server.getAddress().getPort());
	}

	static List<String> readings(URI target) {
		List<String> all = new ArrayList<>();
		for (URI uri : List.of(target, target.normalize(), URI.create("http://back.end/").resolve(target))) {
			all.add(String.valueOf(uri.getRawPath()));
			all.add(String.valueOf(uri.getPath()));
			all.add(servlet(String.valueOf(uri.getRawPath())));
		}
		return all;
	}

	/** As servlet containers map a path: without parameters, decoded, slashes merged. */
	static String servlet(String raw) {
		String path = raw.replaceAll(";[^/]*", "");
		try {
			path = URI.create("http://back.end" + path.replaceAll("/+", "/")).getPath();
		} catch (IllegalArgumentException e) {
			return path;
		}
		return URI.create("http://back.end").resolve(path.replace(" ", "%20").replaceAll("[^/-~]", "-")).normalize().getPath();
	}
}
