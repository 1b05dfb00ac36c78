package djoser

import (
	"net/http"
	"strings"
	"testing"
)

// attackAdminFromPage sends a browser's requests for a page of another origin that need
// no preflight.
func attackAdminFromPage(t *testing.T) {
	in := install(t, required)
	in.Start()
	send := func(headers ...string) int {
		t.Helper()
		req, err := http.NewRequest("POST", "http://"+in.Admin+"/djoser/default/users", strings.NewReader(`{"name": "mallory", "is_superuser": true}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "text/plain")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, headers := range [][]string{
		{"Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"},
		{"Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"},
		{"Origin", "http://localhost:1", "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors"},
		{"Origin", "http://evil.example"},
		{"Sec-Fetch-Site", "cross-site"},
	} {
		if status := send(headers...); status != 403 {
			t.Errorf("%v: %d", headers, status)
		}
	}
	if out := in.ok("user", "list"); strings.Contains(out, "mallory") {
		t.Error(out)
	}
	if status := send("Origin", "http://"+in.Admin, "Sec-Fetch-Site", "same-origin"); status != 200 {
		t.Errorf("the own origin: %d", status)
	}
}
