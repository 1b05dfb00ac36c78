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
