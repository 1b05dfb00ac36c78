package drf

import (
	"reflect"
	"testing"

	"github.com/caddy-djoser/djoser/model"
)

func TestVersion3ChecksMembersAsItsFieldsDo(t *testing.T) {
	m, err := (&model.UserModel{
		RequiredFields: []string{"email", "age", "member", "born", "plan"},
		Fields: []model.FieldSettings{
			{Name: "age", Type: "integer"}, {Name: "member", Type: "boolean"}, {Name: "born", Type: "date"},
			{Name: "plan", Type: "char", MaxLength: ptr(4), Choices: []string{"free"}},
		},
	}).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]FieldErrors{
		`{}`: {"age": {"This field is required."}, "born": {"This field is required."}, "plan": {"This field is required."}},
		`{"email": null, "age": null, "member": null, "born": null, "plan": null}`: {
			"email": {msgNotNull}, "age": {msgNotNull}, "member": {msgNotNull}, "born": {msgNotNull}, "plan": {msgNotNull},
		},
		`{"email": "", "age": "", "member": "x", "born": "", "plan": " "}`: {
			"age": {"A valid integer is required."}, "member": {"Must be a valid boolean."},
			"born": {"Date has wrong format. Use one of these formats instead: YYYY-MM-DD."}, "plan": {msgNotBlank},
		},
		`{"email": [], "age": 1.5, "member": true, "born": "2000-01-02", "plan": "gold"}`: {
			"email": {"Enter a valid email address."}, "age": {"A valid integer is required."}, "plan": {`"gold" is not a valid choice.`},
		},
		`{"email": " A@B.example ", "age": 5, "member": "on", "born": "2000-01-02", "plan": " free "}`: {},
	} {
		data, err := DecodeJSON([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		o, err := Version3.DataObject(data, false)
		if err != nil {
			t.Fatal(err)
		}
		v, errs := Version3.Bind(o, ModelInputs(m))
		said := FieldErrors{}
		if err := errs.Err(); err != nil {
			said = err.(*Error).In(Version3).Body.(FieldErrors)
		}
		if !reflect.DeepEqual(said, want) {
			t.Errorf("%s:\nwant %v\n got %v (%v)", body, want, said, v)
		}
	}
}

func ptr[T any](v T) *T { return &v }
