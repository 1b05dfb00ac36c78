package api

import (
	"net/http"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/serializers"
)

// The endpoint for probes tells whether the realm's store works, and nothing else.

var health = serializers.Action{Name: "health"}

// NeedsStore reports whether the store must be open to serve the request.
func (t Route) NeedsStore() bool {
	return t.resource == nil || t.resource.endpoints[0].Name != health.Name
}

// showHealth reads nothing of the store, so that a probe costs next to nothing.
func showHealth(c *call) (*response, error) {
	if c.api.Health() != nil {
		drf.RetryLater(c.w)
		return healthIs(http.StatusServiceUnavailable, "unavailable"), nil
	}
	return healthIs(http.StatusOK, "ok"), nil
}

func healthIs(status int, word string) *response {
	return &response{status: status, body: map[string]string{"status": word}, private: true}
}

func (d *description) health(*operation) object {
	return d.shared("Health", record(object{"status": text}))
}
