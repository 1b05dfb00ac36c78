package drf

import (
	"bytes"
	"encoding/json"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestJSONIsReadAsPythonReadsIt(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1, "a": 2}`:           `{'a': 2}`,
		`{"b": 1, "a": 2}`:           `{'b': 1, 'a': 2}`,
		` [1, 2.50, -0, 1e3] `:       `[1, 2.5, 0, 1000.0]`,
		`[1e16, 1e-5, 0.1, -0.0]`:    `[1e+16, 1e-05, 0.1, -0.0]`,
		`[NaN, Infinity, -Infinity]`: `[nan, inf, -inf]`,
		`1e999`:                      `inf`,
		`[true, false, null]`:        `[True, False, None]`,
		`"it's"`:                     `it's`,
		`["it's", "\"", "\\\n"]`:     `["it's", '"', '\\\n']`,
		`["\u0000\u007f"]`:           `['\x00\x7f']`,
		`"\ud83d\ude00"`:             "😀",
		`"\ud83dx"`:                  "\xed\xa0\xbdx",
		`{}`:                         `{}`,
	} {
		v, err := DecodeJSON([]byte(text))
		if got := PythonText(v); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		``, ` `, `{`, `[`, `"`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `{a: 1}`, `'a'`, `01`, `+1`, `.5`, `1.`, `- 1`, `1 2`, `tru`, `nan`,
		"\"\n\"", `"\x"`, `"\u12"`, `"\u12g4"`, "\ufeff{}", "\"\xff\"", "\"\xed\xa0\x80\"", `{"a": 1}}`, `{1: 2}`, `"\`,
		strings.Repeat("[", 1<<16), strings.Repeat(`{"a":`, 1<<14), strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2),
	} {
		if v, err := DecodeJSON([]byte(text)); err == nil {
			t.Errorf("%.40q: read as %v", text, v)
		} else if !utf8.ValidString(err.Error()) || len(err.Error()) > 200 {
			t.Errorf("%.40q: error %q", text, err)
		}
	}
	if _, err := DecodeJSON([]byte(strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth))); err != nil {
		t.Errorf("%d arrays in each other: %v", maxDepth, err)
	}
}

func TestObjectsKeepTheirOrder(t *testing.T) {
	v, err := DecodeJSON([]byte(`{"b": "<&>\u2028", "a": {"z": [1.50], "y": null}, "b": true}`))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil || b.String() != `{"b":true,"a":{"z":[1.50],"y":null}}`+"\n" {
		t.Errorf("%s, %v", b.String(), err)
	}
}

// plainJSON is a value as encoding/json reads it.
func plainJSON(v any) any {
	switch v := v.(type) {
	case Number:
		return json.Number(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainJSON(v[i])
		}
		return list
	case *Object:
		m := make(map[string]any)
		for name, value := range v.Values {
			m[name] = plainJSON(value)
		}
		return m
	}
	return v
}

// depthOf is how deep the brackets of a JSON text are nested.
func depthOf(text []byte) int {
	deepest, depth, inString := 0, 0, false
	for i, c := range text {
		switch {
		case c == '"' && !escaped(text[:i]):
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

// FuzzJSON compares the decoder with encoding/json, which differs in lone
// surrogates, NaN and infinity, and depth.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"a": [1, -2.5e3, "x\u00e9\ud83d\ude00", true, null]}`, `{"a": 1, "a": {"b": 2}}`, `"\ud800"`, `NaN`, `[[[]]]`, `0`, "\"\u2028\"", `1E5`, `{"":""}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := DecodeJSON(text)
		PythonText(v)
		if err != nil {
			if json.Valid(text) && utf8.Valid(text) && depthOf(text) <= maxDepth {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil {
			if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) {
				t.Fatalf("%q: only encoding/json says %v", text, err)
			}
			return
		}
		if got := plainJSON(v); !reflect.DeepEqual(got, want) && !bytes.Contains(bytes.ToLower(text), []byte(`\ud`)) {
			t.Fatalf("%q: %v, want %v", text, got, want)
		}
		if _, err := json.Marshal(v); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

// heapTaken is what the process has taken from its heap so far.
func heapTaken() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func TestTextOfContainersIsWrittenInOnePass(t *testing.T) {
	deep := strings.Repeat("[", maxDepth) + `"` + strings.Repeat("x", 60<<10) + `"` + strings.Repeat("]", maxDepth)
	v, err := DecodeJSON([]byte(deep))
	if err != nil {
		t.Fatal(err)
	}
	before := heapTaken()
	text := PythonText(v)
	if taken := heapTaken() - before; len(text) != len(deep) || taken > 16*64<<10 {
		t.Errorf("%d bytes of text took %d of the heap", len(text), taken)
	}
}
