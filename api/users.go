package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/model"
)

// djoser 2's endpoints for accounts by id.

// maxListed is the maximum number of accounts in one list. Its header Link leads to the
// next ones.
const maxListed = 10_000

// listUsers lists the accounts that the sender may see: with hide_users, all for staff,
// and its own for everybody else.
func listUsers(c *call) (*response, error) {
	list := []*drf.Object{}
	anonymous := c.who.Identity == nil
	if c.api.HideUsers && (anonymous || !c.who.Account.IsStaff) {
		if !anonymous {
			list = append(list, c.serializers.Represent(c.who.Account))
		}
		return &response{status: http.StatusOK, body: list, private: true}, nil
	}
	query := c.URL.Query()
	offset, limit := number(query, "offset", 0), min(number(query, "limit", maxListed), maxListed)
	accounts, more, err := page(c.Context(), c.accounts.Store, offset, limit)
	if err != nil {
		return nil, err
	}
	for _, acc := range accounts {
		list = append(list, c.serializers.Represent(acc))
	}
	if more {
		next := url.Values{"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset + limit)}}
		c.w.Header().Set("Link", fmt.Sprintf(`<%s/?%s>; rel="next"`, request.OriginalPath(c.Request), next.Encode()))
	}
	return &response{status: http.StatusOK, body: list, private: true}, nil
}

// number returns a number of the query, which is positive, or another value if there is
// none.
func number(query url.Values, name string, otherwise int) int {
	n, err := strconv.Atoi(query.Get(name))
	if err != nil || n <= 0 {
		return otherwise
	}
	return n
}

// page returns at most limit accounts after the first ones, in order of id, and reports
// whether there are more.
func page(ctx context.Context, store model.Store, offset, limit int) (accounts []*model.Account, more bool, err error) {
	const batch = 500
	after := uint64(0)
	for len(accounts) <= limit {
		found, err := store.Accounts(ctx, after, batch)
		if err != nil {
			return nil, false, err
		}
		if len(found) == 0 {
			return accounts, false, nil
		}
		after = found[len(found)-1].ID
		skipped := min(offset, len(found))
		offset -= skipped
		accounts = append(accounts, found[skipped:]...)
	}
	return accounts[:limit], true, nil
}

func showUser(c *call) (*response, error) { return c.userResponse(c.account), nil }

func changeUser(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, err := c.serializers.SetFields(c.Context(), req, c.who.Token, c.account, o, c.Method == http.MethodPatch)
	if err != nil {
		return nil, err
	}
	return c.userResponse(acc), nil
}

func deleteUser(c *call, req *account.Request, o *drf.Object) (*response, error) {
	if c.account.ID == c.who.Account.ID {
		return deleteMe(c, req, o)
	}
	return c.emptyUnless(c.serializers.DeleteOther(c.Context(), req, c.who.Token, c.account, o))
}

func deleteMe(c *call, req *account.Request, o *drf.Object) (*response, error) {
	return c.loggedOutUnless(c.serializers.Delete(c.Context(), req, c.who.Token, o))
}
