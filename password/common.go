package password

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"slices"
	"strings"
	"sync"
)

// commonList has 49,233 passwords in lower case, one on each line, sorted. They are from
// src/passwords.json in the npm package @zxcvbn-ts/language-common 4.1.3, under the MIT
// License, which is in NOTICE. To make the list again:
//
//	npm pack @zxcvbn-ts/language-common@4.1.3
//	tar xzf zxcvbn-ts-language-common-4.1.3.tgz
//	node -p '[...new Set(require("./package/src/passwords.json").map(p => p.toLowerCase()))].sort().join("\n")' |
//		gzip -9n > common.txt.gz
//
//go:embed common.txt.gz
var commonList []byte

// common returns the list, about a megabyte. It is unpacked on first use.
var common = sync.OnceValue(func() []string {
	r, err := gzip.NewReader(bytes.NewReader(commonList))
	if err != nil {
		panic(err) // the list is part of the program
	}
	list, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	return strings.Split(strings.TrimSuffix(string(list), "\n"), "\n")
})

// isCommon looks up a password as Django does, ignoring case and surrounding spaces.
func isCommon(password string) bool {
	_, found := slices.BinarySearch(common(), strings.TrimSpace(strings.ToLower(password)))
	return found
}
