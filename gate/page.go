package gate

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
)

// page is a page of the gate for people whose browser may not pass.
type page struct {
	Text  *pageText
	User  string // who is logged in, and may not pass; empty: nobody
	Ended bool   // the request was no GET, and would be lost by going to the log-in
	Retry string // a path of the own host to try again; empty: none
	Login string // URL of the log-in page; empty: none
}

// Title returns the title, which says why there is a page.
func (p *page) Title() string {
	switch {
	case p.Ended:
		return p.Text.EndedTitle
	case p.User != "":
		return p.Text.ForbiddenTitle
	}
	return p.Text.TooOldTitle
}

const pageStyle = `:root{color-scheme:light dark}` +
	`body{margin:0;padding:1rem;font:1rem/1.5 system-ui,sans-serif;background:#f3f4f6;color:#1c1f23}` +
	`main{max-width:24rem;margin:10vh auto 0;padding:1.5rem;background:#fff;border:1px solid #d5d8dd;border-radius:.5rem;overflow-wrap:anywhere}` +
	`h1{margin:0 0 1rem;font-size:1.375rem}` +
	`a{display:inline-block;padding:.5rem 1rem;border-radius:.25rem;background:#1f5fd0;color:#fff}` +
	`@media(prefers-color-scheme:dark){body{background:#15171a;color:#e8eaed}main{background:#212428;border-color:#3a3f45}}`

var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="{{.Text.Lang}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>` + pageStyle + `</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{- if .Ended}}
<p>{{.Text.Ended}}</p>
<p><a href="{{.Login}}" target="_blank" rel="noopener">{{.Text.LogIn}}</a></p>
{{- else if .User}}
<p>{{.Text.LoggedInAs}} <strong><bdi>{{.User}}</bdi></strong>{{.Text.WithoutAccess}}</p>
<p><a href="{{.Login}}">{{.Text.LogInOther}}</a></p>
{{- else}}
<p>{{.Text.TooOld}}</p>
<p><a href="{{.Retry}}">{{.Text.TryAgain}}</a></p>
{{- end}}
</main>
</body>
</html>
`))

// pagePolicy lets a page load nothing, and nobody frame it.
var pagePolicy = func() string {
	hash := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// writePage answers with a page in place of the back end. scheme is for WWW-Authenticate.
func writePage(w http.ResponseWriter, r *http.Request, status int, scheme string, p *page) error {
	conceal(r)
	p.Text = pageTextFor(r)
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return err
	}
	header := w.Header()
	if scheme != "" {
		header.Set("WWW-Authenticate", scheme)
	}
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Language", p.Text.Lang)
	header.Add("Vary", "Accept-Language")
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(b.Bytes())
	return err
}
