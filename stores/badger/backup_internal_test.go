package badger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/stores/badger/records"
)

func TestABackupThatNobodyCanReadIsRefused(t *testing.T) {
	owner := records.NumberKey(records.PrefixAccount, 1)
	for fault, entries := range map[string][][2][]byte{
		"the key of links has 0 bytes":  {{records.LinkKeyKey, {}}},
		"the key of links has 31 bytes": {{records.LinkKeyKey, make([]byte, 31)}},
		"lacks the key of links":        {{records.CountsKey, records.Counts{}.Encode()}},
		"a record of kind 'a'":          {{records.LinkKeyKey, make([]byte, 32)}, {owner, []byte("?")}},
		"a record of kind 't'":          {{records.LinkKeyKey, make([]byte, 32)}, {records.TokenKey(account.Digest{}), nil}},
		"a record of kind 'm'":          {{records.LinkKeyKey, make([]byte, 32)}, {records.NumberKey(records.PrefixMail, 1), []byte{9}}},
		"a record of kind 'u'":          {{records.LinkKeyKey, make([]byte, 32)}, {records.UniqueKey(1, account.Key{Field: "username", Value: "x"}), []byte{1}}},
		"a key of kind 'a' has 3 bytes": {{records.LinkKeyKey, make([]byte, 32)}, {[]byte("a12"), []byte{1}}},
	} {
		text := fmt.Appendf(nil, backupHead, backupSchema)
		for _, e := range entries {
			text = appendBackupEntry(text, e[0], e[1], 0)
		}
		text = append(text, 0)
		sum := sha256.Sum256(text)
		s := newBadger(t, t.TempDir())
		before := string(s.linkKey)
		err := s.Restore(t.Context(), bytes.NewReader(append(text, sum[:]...)))
		if !errors.Is(err, errDamagedBackup) || !strings.Contains(fmt.Sprint(err), fault) {
			t.Errorf("%s: %v", fault, err)
		}
		if string(s.linkKey) != before {
			t.Errorf("%s: the store has another key of links", fault)
		}
	}
}
