package api

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/serializers"
	"github.com/caddy-djoser/djoser/social"
)

// openapi.json describes the endpoints of a realm, for makers of clients. It is made of
// the table of endpoints, the serializers' inputs and the settings. Source: OpenAPI 3.1.1.

const descriptionPath = "openapi.json"

var describe = serializers.Action{Name: "openapi"}

// object is an object of the description.
type object = map[string]any

// document is openapi.json.
type document struct {
	OpenAPI    string   `json:"openapi"`
	Info       object   `json:"info"`
	Servers    []object `json:"servers"`
	Paths      object   `json:"paths"`
	Components object   `json:"components"`
}

// description is the document while it is made.
type description struct {
	*call
	paths   object
	schemas object
}

// operation is what a method does at a path.
type operation struct {
	*endpoint
	resource *resource
	method   string
	layout   Layout
	inputs   serializers.Serializers // of the layout
}

// madeDescription is a description, and what it depends on besides the settings.
type madeDescription struct {
	prefix, cookie string
	text           json.RawMessage
	etag           string
}

// showDescription answers everybody the same, and has nothing that the endpoints don't tell.
// It keeps the last description, since making one takes milliseconds, and anybody may ask.
func showDescription(c *call) (*response, error) {
	made := c.api.description.Load()
	if made == nil || made.prefix != c.prefix() || made.cookie != c.cookieName() {
		var err error
		if made, err = c.describe(); err != nil {
			return nil, err
		}
		c.api.description.Store(made)
	}
	c.w.Header().Set("ETag", made.etag)
	c.w.Header().Set("Cache-Control", "no-cache") // to be asked for again, with the ETag
	return &response{status: http.StatusOK, body: made.text, etag: made.etag}, nil
}

func (c *call) describe() (*madeDescription, error) {
	d := &description{call: c, paths: make(object), schemas: make(object)}
	d.addPaths()
	text, err := json.Marshal(document{
		OpenAPI: "3.1.1",
		Info: object{
			"title":       "djoser",
			"version":     "1",
			"description": "Accounts and auth tokens. Paths work with and without their last slash. What answers GET answers HEAD too, and every path OPTIONS.",
		},
		Servers: []object{{"url": c.prefix()}},
		Paths:   d.paths,
		Components: object{
			"schemas":         d.schemas,
			"responses":       d.sharedResponses(),
			"securitySchemes": d.securitySchemes(),
		},
	})
	etag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(text)) // weak, since the indentation may differ
	return &madeDescription{c.prefix(), c.cookieName(), text, etag}, err
}

// isKnown reports whether the client has the body with an ETag.
func (c *call) isKnown(etag string) bool {
	return strings.Contains(c.Header.Get("If-None-Match"), strings.TrimPrefix(etag, "W/"))
}

// prefix returns the path of the root as the client sees it.
func (c *call) prefix() string {
	return cmp.Or(strings.TrimSuffix(request.OriginalPath(c.Request), "/"+descriptionPath), "/")
}

// cookieName returns the name of the realm's cookie, which depends on whether it is sent by
// HTTPS; empty without one.
func (c *call) cookieName() string {
	if c.api.Auth.Cookie == nil {
		return ""
	}
	return c.api.Auth.Cookie.Name(c.Request)
}

// addPaths describes the root, and every resource at its first path.
func (d *description) addPaths() {
	l := d.api.Layouts[0]
	d.addPath(&resource{l, "", []*endpoint{{
		methods: get, permission: l.rootPermission(), named: true,
		id: "listEndpoints", title: "List the endpoints", answer: links,
	}}})
	for _, l := range d.api.Layouts {
		for _, r := range resources[l] {
			if first, _ := d.api.resource(d.api.named(strings.ReplaceAll(r.path, "{id}", "1"))); first == nil || first.layout != l {
				continue // disabled, or another layout has it
			}
			d.addPath(d.api.enabled(r))
		}
	}
}

func (d *description) addPath(r *resource) {
	operations := make(object)
	s := d.api.Serializers
	s.Version = r.layout.version()
	for _, method := range r.methods() {
		if method == http.MethodHead || method == http.MethodOptions {
			continue
		}
		operations[strings.ToLower(method)] = d.operation(&operation{r.find(method), r, method, r.layout, s})
	}
	d.paths[d.pathOf(r)] = operations
}

// pathOf returns a path as the layout's front ends write it: those of djoser 2 have a last
// slash.
func (d *description) pathOf(r *resource) string {
	path := "/" + d.api.named(r.path)
	if r.layout == V2 && r.path != "" && !strings.HasSuffix(r.path, ".json") {
		path += "/"
	}
	return path
}

// name returns a name that is unique among both layouts.
func (d *description) name(l Layout, name string) string {
	if l == V2 && slices.Contains(d.api.Layouts, Classic) {
		return name + "V2"
	}
	return name
}

// nameOf returns the id of an operation. That of PATCH begins with update, that of PUT
// with replace.
func (d *description) nameOf(op *operation) string {
	id := op.id
	if op.method == http.MethodPut {
		id = "replace" + strings.TrimPrefix(id, "update")
	}
	return d.name(op.layout, id)
}

// typeOf returns the name of a schema that only one operation has.
func (d *description) typeOf(op *operation, suffix string) string {
	id := d.nameOf(op)
	return strings.ToUpper(id[:1]) + id[1:] + suffix
}

func (d *description) operation(op *operation) object {
	described := object{
		"operationId": d.nameOf(op),
		"summary":     op.title,
		"tags":        []string{layoutNames[op.layout]},
		"responses":   d.responses(op),
	}
	if text := d.textOf(op); text != "" {
		described["description"] = text
	}
	if parameters := op.parameters(d.api); len(parameters) > 0 {
		described["parameters"] = parameters
	}
	if op.takesMembers() {
		described["requestBody"] = d.requestBody(op)
	}
	if d.needsToken(op) {
		described["security"] = d.security(op)
	}
	return described
}

func (d *description) textOf(op *operation) string {
	if d.api.class(op.permission) == IsAdminUser {
		return strings.TrimSpace(op.text + " Only for staff.")
	}
	return op.text
}

func (d *description) needsToken(op *operation) bool {
	return op.own || d.api.class(op.permission) != AllowAny
}

func (op *operation) parameters(a *API) (list []object) {
	if strings.HasSuffix(op.resource.path, "{id}") {
		schema := object{"type": "string", "pattern": validID.String()}
		switch {
		case op.Name == serializers.LoginProvider.Name:
			schema = object{"type": "string", "enum": providerNames(a.Providers)}
		case op.resource.hasAccount():
			schema = object{"type": "integer", "format": "int64", "minimum": 1}
		}
		list = append(list, object{"name": "id", "in": "path", "required": true, "schema": schema})
	}
	if op.Name == serializers.LoginProvider.Name && op.read != nil {
		list = append(list, object{"name": "redirect_uri", "in": "query", "required": true, "schema": object{"type": "string", "format": "uri"}})
	}
	if op.paged {
		list = append(list,
			object{"name": "offset", "in": "query", "description": "How many to leave out.", "schema": object{"type": "integer", "minimum": 0}},
			object{"name": "limit", "in": "query", "description": "How many to list. The header Link leads to the next ones.", "schema": object{"type": "integer", "minimum": 1, "maximum": maxListed}})
	}
	return list
}

func providerNames(providers []*social.Provider) (names []string) {
	for _, p := range providers {
		names = append(names, p.Name)
	}
	return names
}

const namedScheme = "named"

// securitySchemes are the credentials that the endpoints take. One is enough.
func (d *description) securitySchemes() object {
	schemes := object{
		"token":     header(d.api.Scheme, "an auth token"),
		namedScheme: header("Bearer", "a named token"),
	}
	if jwt := d.api.Auth.JWT; jwt != nil {
		schemes["jwt"] = header(jwt.HeaderTypes[0], "an access token")
	}
	if name := d.cookieName(); name != "" {
		schemes["cookie"] = object{
			"type": "apiKey", "in": "cookie", "name": name,
			"description": "Answers with an auth token set it. Pages of other origins can't use it, unless cors names them.",
		}
	}
	return schemes
}

// security are the credentials that an operation takes.
func (d *description) security(op *operation) (list []object) {
	for _, name := range slices.Sorted(maps.Keys(d.securitySchemes())) {
		if name != namedScheme || op.named {
			list = append(list, object{name: []string{}})
		}
	}
	return list
}

// header describes a token in the Authorization header.
func header(scheme, token string) object {
	if scheme == "Bearer" {
		return object{"type": "http", "scheme": "bearer", "description": "Takes " + token + "."}
	}
	return object{
		"type": "apiKey", "in": "header", "name": "Authorization",
		"description": "The word " + scheme + ", a space, and " + token + ".",
	}
}
