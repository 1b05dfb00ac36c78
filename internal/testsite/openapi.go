package testsite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// OpenAPI is a description of a realm's endpoints, to check answers against.
type OpenAPI struct {
	Text  string
	Paths map[string]map[string]*Operation

	Components struct{ Responses map[string]map[string]any }

	compiler *jsonschema.Compiler
}

// Operation is what a method does at a path.
type Operation struct {
	ID        string `json:"operationId"`
	Summary   string
	Security  []map[string][]string
	Responses map[string]any

	RequestBody struct{ Required bool } `json:"requestBody"`
}

// described are descriptions by their text, since many tests have the same.
var described = make(map[string]*OpenAPI)

// ParseOpenAPI reads a description.
func ParseOpenAPI(t testing.TB, text string) *OpenAPI {
	t.Helper()
	if d := described[text]; d != nil {
		return d
	}
	d := &OpenAPI{Text: text, compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal([]byte(text), d); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	closeObjects(document)
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(openAPIFile, document); err != nil {
		t.Fatal(err)
	}
	described[text] = d
	return d
}

const openAPIFile = "openapi.json"

// closeObjects refuses members that aren't described, so that a check finds them.
func closeObjects(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			closeObjects(item)
		}
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, item := range v {
			closeObjects(item)
		}
	}
}

// Methods returns the methods at a path, in order. It adds those that aren't described,
// since every path has them.
func (d *OpenAPI) Methods(path string) []string {
	methods := []string{http.MethodOptions}
	for method := range d.Paths[path] {
		methods = append(methods, strings.ToUpper(method))
	}
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return methods
}

var idInPath = regexp.MustCompile(`/[A-Za-z0-9_-]+(/?)$`)

// Find returns the path in the description for one under the prefix, or an empty text.
func (d *OpenAPI) Find(path string) string {
	bare := strings.TrimSuffix(path, "/")
	withID := idInPath.ReplaceAllString(bare, "/{id}")
	for _, p := range []string{bare, bare + "/", withID, withID + "/"} {
		if d.Paths[p] != nil {
			return p
		}
	}
	return ""
}

// unnamed are statuses of requests that no client of the description sends, and of
// accidents, which it names together.
var unnamed = []int{
	http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusConflict, http.StatusRequestEntityTooLarge,
	http.StatusRequestURITooLong, http.StatusUnsupportedMediaType, http.StatusTooEarly,
}

// Check returns an error unless an answer is described. The path is that under the prefix.
func (d *OpenAPI) Check(method, path string, a Answer) error {
	found := d.Find(path)
	op := d.Paths[found][strings.ToLower(method)]
	switch {
	case method == http.MethodOptions || method == http.MethodHead:
		return nil
	case op == nil && a.Status < http.StatusBadRequest:
		return fmt.Errorf("%s %s is not described, but has status %d", method, path, a.Status)
	case op == nil:
		return nil
	}
	status := strconv.Itoa(a.Status)
	if slices.Contains(unnamed, a.Status) {
		status = "4XX"
	}
	response, ok := op.Responses[status].(map[string]any)
	if !ok {
		return fmt.Errorf("%s %s: status %s is not described", method, path, status)
	}
	at := "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(found) + "/" + strings.ToLower(method) + "/responses/" + status
	if ref, ok := response["$ref"].(string); ok {
		at, response = ref, d.Components.Responses[ref[strings.LastIndexByte(ref, '/')+1:]]
	}
	if _, hasBody := response["content"]; !hasBody || a.Body == "" {
		if hasBody && a.Status != http.StatusBadRequest || a.Body != "" {
			return fmt.Errorf("%s %s: status %d with the body %q", method, path, a.Status, a.Body)
		}
		return nil
	}
	schema, err := d.compiler.Compile(openAPIFile + at + "/content/application~1json/schema")
	if err != nil {
		return err
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(a.Body))
	if err == nil {
		err = schema.Validate(body)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %d %s: %w", method, path, a.Status, a.Body, err)
	}
	return nil
}
