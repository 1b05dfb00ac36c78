package api

import (
	"net/http"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
)

// root lists the endpoints: the classic ones, and djoser 2's as djoser 2 does.
func (c *call) root() *response {
	base := request.Scheme(c.Request) + "://" + c.Host + request.OriginalPath(c.Request) + "/"
	list := make(map[string]string)
	for _, l := range c.api.Layouts {
		if l == V2 {
			list["users"] = base + "users/"
			continue
		}
		for _, e := range endpoints {
			if !c.api.isDisabled(e, l) && e.listed != "" {
				list[c.api.named(e.listed)] = base + c.api.named(e.paths[l])
			}
		}
	}
	return &response{status: http.StatusOK, body: list}
}

// options describes the endpoint as REST framework's metadata does.
func (c *call) options() *response {
	body := map[string]any{
		"name":    "Root",
		"renders": drf.Renders,
		"parses":  drf.Parses,
	}
	if c.layout == V2 {
		body["name"] = "Api Root"
	}
	if c.resource != nil {
		body["name"] = c.resource.endpoints[0].names[c.layout]
		if actions := c.actions(); len(actions) > 0 {
			body["actions"] = actions
		}
	}
	return &response{status: http.StatusOK, body: body}
}

// actions describes the members that the methods of the resource take.
func (c *call) actions() map[string]any {
	actions := make(map[string]any)
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		e := c.resource.find(method)
		if e == nil {
			continue
		}
		switch {
		case c.resource.hasAccount() && c.account == nil: // it may not be used
		case c.resource.ofUsers():
			actions[method] = c.userFields()
		case e.Inputs != nil:
			actions[method] = c.fields(e)
		}
	}
	return actions
}

// fields describes the members that an endpoint takes.
func (c *call) fields(e *endpoint) map[string]any {
	fields := make(map[string]any)
	for _, in := range e.Inputs(&c.serializers) {
		fields[in.Name] = c.layout.version().Metadata(&in)
	}
	switch e.Name {
	case "jwt_refresh":
		fields["access"] = map[string]any{"type": "string", "required": false, "read_only": true, "label": "Access"}
	case "me":
		c.addReadOnly(fields, &drf.Input{Field: c.api.Model.Username, Required: true})
	}
	return fields
}

// userFields describes an account, as djoser 2 does wherever an action has no serializer
// of its own for OPTIONS.
func (c *call) userFields() map[string]any {
	fields := make(map[string]any)
	for _, in := range drf.ModelInputs(c.api.Model) {
		fields[in.Name] = drf.Version3.Metadata(&in)
	}
	fields["id"] = map[string]any{"type": "integer", "required": false, "read_only": true, "label": "ID"}
	c.addReadOnly(fields, &drf.Input{Field: c.api.Model.Username})
	return fields
}

// addReadOnly adds a field that is only shown.
func (c *call) addReadOnly(fields map[string]any, in *drf.Input) {
	d := c.layout.version().Metadata(in)
	d["read_only"] = true
	if c.layout == V2 {
		delete(d, "max_length")
	}
	fields[in.Field.Name] = d
}
