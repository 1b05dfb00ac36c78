package conformance

import (
	"context"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// Mails.

// drain waits until every mail is delivered, and reads the new ones.
func (r *replay) drain() {
	r.t.Helper()
	testsite.Eventually(r.t, "delivery of the mails", func() bool {
		waiting, err := r.stored.Store.Mails(context.Background(), time.Now().Add(1000*time.Hour), 1)
		if err != nil {
			r.t.Fatal(err)
		}
		return len(waiting) == 0
	})
	files, err := filepath.Glob(filepath.Join(r.Dir, r.c.realm+"-mails", "*.eml"))
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(files)
	for _, file := range files {
		if !slices.Contains(r.mailFiles, file) {
			r.mailFiles = append(r.mailFiles, file)
			r.mails = append(r.mails, testsite.ReadMail(r.t, file))
		}
	}
}

func (r *replay) sentMails() []comparedMail {
	mails := []comparedMail{}
	for _, m := range r.mails {
		mails = append(mails, comparedMail{m.To, m.From, hideLinkToken(m.Link), isNotice(m)})
	}
	return mails
}

func isNotice(m testsite.Mail) bool { return strings.HasPrefix(m.Subject, noticeSubject) }

func (r *replay) captureMail(to string) {
	r.drain()
	uid, token := noMail, noMail
	for _, m := range r.mails {
		if m.To == to && !isNotice(m) {
			uid, token = linkOf(m.Link)
		}
	}
	r.setVar("uid", uid)
	r.setVar("mtoken", token)
}

var linkPattern = regexp.MustCompile(`/([A-Za-z0-9_-]+)/([0-9a-z]+-[0-9a-z]+)$`)

// linkOf returns the uid and the token of a link.
func linkOf(link string) (uid, token string) {
	if m := linkPattern.FindStringSubmatch(link); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

func hideLinkToken(link string) string { return linkPattern.ReplaceAllString(link, "/$1/{{token}}") }

// What is left.

// checkAfter logs in to each account, and uses each token and each link, in that
// order: a link changes the password and ends tokens.
func (r *replay) checkAfter() {
	known := r.data.after[r.c.Name]
	if known == nil {
		known = &aftermath{Case: r.c.Name}
	}
	got := &aftermath{Case: r.c.Name}
	for _, l := range known.Logins {
		answer := r.post(r.data.of.login, map[string]string{"username": l.Username, "password": l.Password})
		got.Logins = append(got.Logins, &loginAfter{l.Username, l.Password, answer})
	}
	got.Tokens = r.useTokens()
	for _, m := range slices.Backward(r.mails) {
		if !isNotice(m) {
			got.Links = append(got.Links, r.useLink(m.Link))
		}
	}
	if len(got.Links) > 0 {
		got.Ended = r.useTokens()
	}
	if *update {
		r.data.after[r.c.Name] = got
	} else if want, is := canonical(known), canonical(got); want != is {
		r.t.Errorf("after the case:\nwant %s\n got %s", want, is)
	}
}

func (r *replay) useTokens() (answers []any) {
	for _, token := range r.tokens {
		q := &recordedRequest{Method: http.MethodGet, Path: "/auth/" + r.data.of.me, Headers: [][2]string{{"Authorization", "Token " + token}}}
		a := r.send(q)
		if me, ok := a.Body.(map[string]any); ok && a.Status == http.StatusOK {
			answers = append(answers, me["username"])
			continue
		}
		answers = append(answers, a.Body)
	}
	return answers
}

// useLink uses a link for both purposes, twice: it works for one, once.
func (r *replay) useLink(link string) map[string]any {
	uid, token := linkOf(link)
	answers := make(map[string]any)
	for _, path := range []string{r.data.of.activate, r.data.of.confirm} {
		body := map[string]string{"uid": uid, "token": token, "new_password": "link-Pw9", "re_new_password": "link-Pw9"}
		answers[path] = []any{r.post(path, body), r.post(path, body)}
	}
	return answers
}

// post returns the status of a success, or the body of an error.
func (r *replay) post(path string, body map[string]string) any {
	text := canonical(body)
	a := r.send(&recordedRequest{
		Method: http.MethodPost, Path: "/auth/" + path, Body: &text,
		Headers: [][2]string{{"Content-Type", "application/json"}},
	})
	if a.Status == http.StatusOK || a.Status == http.StatusNoContent {
		return a.Status
	}
	return a.Body
}
