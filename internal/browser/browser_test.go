package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTabsFillFormsWithAndWithoutScripts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<form method=post><input name=word><button type=submit>Send</button></form><p id=p>got: %s.</p><script>p.append("script")</script>`, r.FormValue("word"))
	}))
	defer server.Close()
	b := Start(t)
	for _, o := range []Options{{}, {NoScript: true}, {Width: 320, Dark: true}} {
		tab := b.New(t, o)
		tab.Go(server.URL)
		tab.Fill("word", "first")
		tab.Fill("word", "hello")
		tab.Submit("word")
		tab.Want("got: hello.")
		if strings.Contains(tab.Text(), "script") == o.NoScript {
			t.Errorf("%+v: %s", o, tab.Text())
		}
		if width := Evaluate[int](tab, "innerWidth"); o.Width != 0 && width != o.Width {
			t.Errorf("%d pixels wide", width)
		}
		if len(tab.Screenshot()) == 0 {
			t.Error("no picture")
		}
	}
}
