package api

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

// Permissions are djoser's classes, by the last part of their names.
const (
	AllowAny                     = "AllowAny"
	IsAuthenticated              = "IsAuthenticated"
	IsAdminUser                  = "IsAdminUser" // is_staff
	CurrentUserOrAdmin           = "CurrentUserOrAdmin"
	CurrentUserOrAdminOrReadOnly = "CurrentUserOrAdminOrReadOnly"
)

var classes = []string{AllowAny, IsAuthenticated, IsAdminUser, CurrentUserOrAdmin, CurrentUserOrAdminOrReadOnly}

// defaultPermissions are djoser's.
var defaultPermissions = map[string]string{
	"activation":             AllowAny,
	"password_reset":         AllowAny,
	"password_reset_confirm": AllowAny,
	"set_password":           CurrentUserOrAdmin,
	"username_reset":         AllowAny,
	"username_reset_confirm": AllowAny,
	"set_username":           CurrentUserOrAdmin,
	"user_create":            AllowAny,
	"user_delete":            CurrentUserOrAdmin,
	"user":                   CurrentUserOrAdmin,
	"user_list":              CurrentUserOrAdmin,
	"token_create":           AllowAny,
	"token_destroy":          IsAuthenticated,
}

// CheckPermission checks one of the setting permissions.
func CheckPermission(name, class string) error {
	if _, ok := defaultPermissions[name]; !ok {
		return fmt.Errorf("permissions: unknown action %s: use %s", name, strings.Join(slices.Sorted(maps.Keys(defaultPermissions)), ", "))
	}
	if !slices.Contains(classes, class) {
		return fmt.Errorf("permissions: unknown class %s for %s: use %s", class, name, strings.Join(classes, ", "))
	}
	if class == AllowAny && (name == "user" || name == "user_delete") {
		return fmt.Errorf("permissions: %s can't be AllowAny: anybody could change or delete every account; use %s", name, CurrentUserOrAdmin)
	}
	return nil
}

// class returns the permission that a request needs.
func (c *call) class() string {
	switch {
	case c.resource == nil:
		return c.api.class(c.layout.rootPermission())
	case c.endpoint != nil:
		return c.api.class(c.endpoint.permission)
	case c.resource.ofUsers():
		return c.api.class("user")
	}
	return c.api.class(c.resource.endpoints[0].permission)
}

// anybody is the permission of endpoints that are open whatever the settings.
const anybody = "anybody"

func (a *API) class(permission string) string {
	switch permission {
	case "":
		return IsAuthenticated
	case anybody:
		return AllowAny
	}
	if class, ok := a.Permissions[permission]; ok {
		return class
	}
	return defaultPermissions[permission]
}

// Permits reports whether the permissions let an account take an action; nil: somebody who
// hasn't logged in. It is for other ways to the actions of the endpoints, such as pages.
func (a *API) Permits(action serializers.Action, who *model.Account) bool {
	for _, e := range endpoints {
		if e.Name != action.Name || e.Event != action.Event {
			continue
		}
		return a.permits(e.permission, who)
	}
	return true // no endpoint has it, so no permission either
}

// permits is Permits for one of the setting permissions.
func (a *API) permits(permission string, who *model.Account) bool {
	switch a.class(permission) {
	case AllowAny:
		return true
	case IsAdminUser:
		return who != nil && who.IsStaff
	}
	return who != nil
}

// isOpen reports whether the request needs no token.
func (c *call) isOpen() bool {
	return c.class() == AllowAny && (c.endpoint == nil || !c.endpoint.own)
}

// permit checks the permission of a request before its account is known.
func (c *call) permit() error {
	switch {
	case c.who.Identity != nil && c.who.Token.IsNamed() && c.endpoint != nil && !c.endpoint.named:
		return drf.ErrNamedToken
	case c.isOpen():
		return nil
	case c.who.Identity == nil:
		return drf.ErrNotAuthenticated
	case c.class() == IsAdminUser && !c.who.Account.IsStaff:
		return c.denied()
	}
	return nil
}

// denied returns the error for an account that may not do something.
func (c *call) denied() error {
	if c.endpoint != nil && c.endpoint.hidden && c.api.HideUsers {
		return drf.ErrUnknownPath
	}
	return drf.ErrForbidden
}

// findAccount finds the account that the path names, and checks the permission for it.
func (c *call) findAccount() error {
	if c.resource == nil || !c.resource.hasAccount() {
		return nil
	}
	err := c.loadAccount()
	if c.Method == http.MethodOptions && errors.As(err, new(*drf.Error)) {
		return nil // OPTIONS describes less then
	}
	return err
}

func (c *call) loadAccount() error {
	id, err := strconv.ParseUint(c.id, 10, 63)
	if err != nil {
		return drf.ErrUnknownPath
	}
	acc, err := c.accounts.Store.Account(c.Context(), id)
	if err != nil {
		return orUnknownPath(err)
	}
	if !c.mayUse(acc) {
		return c.denied()
	}
	c.account = acc
	return nil
}

// mayUse reports whether the sender has the permission for an account.
func (c *call) mayUse(acc *model.Account) bool {
	who := c.who.Account
	switch c.class() {
	case CurrentUserOrAdmin:
		return who.IsStaff || who.ID == acc.ID
	case CurrentUserOrAdminOrReadOnly:
		return who.IsStaff || who.ID == acc.ID || c.Method == http.MethodGet || c.Method == http.MethodHead || c.Method == http.MethodOptions
	}
	return true
}
