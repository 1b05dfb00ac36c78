// Answers with the paths that programs on Node take out of a target, one a line.
const http = require("http"), legacy = require("url");

function readings(target) {
	const all = [target.split("?")[0], legacy.parse(target).pathname];
	for (const parse of [(t) => t, decodeURIComponent]) {
		try {
			const path = new URL(parse(target), "http://back.end/").pathname;
			all.push(path, decodeURIComponent(path));
		} catch {}
	}
	return all;
}

const server = http.createServer((request, response) => response.end(readings(request.url).join("\n")));
server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));
