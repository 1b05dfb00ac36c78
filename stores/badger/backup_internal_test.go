package badger

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/backup"
	"github.com/caddy-djoser/djoser/stores/records"
)

func TestABackupThatNobodyCanReadIsRefused(t *testing.T) {
	owner := records.NumberKey(records.PrefixAccount, 1)
	for fault, entries := range map[string][][2][]byte{
		"the key of links has 0 bytes":  {{records.LinkKeyKey, {}}},
		"the key of links has 31 bytes": {{records.LinkKeyKey, make([]byte, 31)}},
		"lacks the key of links":        {{records.CountsKey, records.Counts{}.Encode()}},
		"a record of kind 'a'":          {{records.LinkKeyKey, make([]byte, 32)}, {owner, []byte("?")}},
		"a record of kind 't'":          {{records.LinkKeyKey, make([]byte, 32)}, {records.TokenKey(model.Digest{}), nil}},
		"a record of kind 'm'":          {{records.LinkKeyKey, make([]byte, 32)}, {records.NumberKey(records.PrefixMail, 1), []byte{9}}},
		"a record of kind 'u'":          {{records.LinkKeyKey, make([]byte, 32)}, {records.UniqueKey(1, model.Key{Field: "username", Value: "x"}), []byte{1}}},
		"a key of kind 'a' has 3 bytes": {{records.LinkKeyKey, make([]byte, 32)}, {[]byte("a12"), []byte{1}}},
	} {
		var text bytes.Buffer
		w, err := backup.NewWriter(&text)
		for _, e := range entries {
			err = errors.Join(err, w.Add(e[0], e[1], 0))
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		s := newBadger(t, t.TempDir())
		before := string(s.linkKey)
		err = s.Restore(t.Context(), bytes.NewReader(text.Bytes()))
		if !strings.Contains(fmt.Sprint(err), "the backup is damaged") || !strings.Contains(fmt.Sprint(err), fault) {
			t.Errorf("%s: %v", fault, err)
		}
		if string(s.linkKey) != before {
			t.Errorf("%s: the store has another key of links", fault)
		}
	}
}
