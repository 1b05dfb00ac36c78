package djoser

import (
	"testing"

	"github.com/caddy-djoser/djoser/internal/history"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

func TestTheEmbeddedStoreIsLinearizable(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	site := "djoser /auth/* {\n" + testsite.Settings + "logout_on_password_change\n}\nhandle /api/* {\ndjoser_auth\nrespond ok\n}"
	p := testsite.NewProcess(t, site)
	p.Start()
	for range history.Rounds() {
		h := history.New()
		history.Run(t, h, []history.Node{history.Site{Process: p}}, 0, func(operations func(int)) {
			for range 2 {
				operations(200)
				p.Run("", "reload", "--force").Want(t, 0)
				operations(200)
				p.Kill()
				p.Start()
			}
			operations(200)
		})
		h.Check(t, 0, 0)
	}
}
