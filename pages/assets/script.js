// The pages work without this file. It keeps the fragment of where somebody wanted to go:
// browsers put the fragment of a form's address on the redirect that answers it.
"use strict";
if (location.hash) {
	for (const form of document.querySelectorAll("form[data-follow]")) {
		form.action += location.hash;
	}
	for (const link of document.querySelectorAll("a[data-follow]")) {
		link.href += location.hash;
	}
}

// Passkeys: the button of such a form asks the browser for one, and sends what it answers.
// Buffers are base64url in JSON.
function fromBase64(text) {
	return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0));
}
function toBase64(buffer) {
	return btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
async function askPasskey(form) {
	const options = JSON.parse(form.dataset.options).publicKey;
	options.challenge = fromBase64(options.challenge);
	for (const known of options.allowCredentials || options.excludeCredentials) {
		known.id = fromBase64(known.id);
	}
	if (options.user) {
		options.user.id = fromBase64(options.user.id);
	}
	const passkey = await navigator.credentials[form.dataset.passkey]({publicKey: options});
	const response = {};
	for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
		if (passkey.response[name]) {
			response[name] = toBase64(passkey.response[name]);
		}
	}
	form.elements.credential.value = JSON.stringify({id: passkey.id, rawId: passkey.id, type: passkey.type, response, clientExtensionResults: {}});
	form.submit();
}
for (const form of document.querySelectorAll("form[data-passkey]")) {
	const failed = form.querySelector("[data-failed]");
	const ask = () => {
		failed.hidden = true;
		askPasskey(form).catch(() => { failed.hidden = false; });
	};
	form.addEventListener("submit", event => {
		event.preventDefault();
		ask();
	});
	if ("auto" in form.dataset) {
		ask();
	}
}
