package storetest

import (
	"math"

	"github.com/caddy-djoser/djoser/model"
)

var changePromises = []promise{
	{"an invalid combination of fields is refused whole", func(s *suite) {
		ann := s.create("ann")
		s.login(ann, 1)
		before := s.account(ann.ID)
		huge := user("huge")
		huge.ID = math.MaxUint64
		stray := user("stray")
		stray.Version = 1
		child := token(ann.ID, 2)
		child.Parent, child.Host = digest(ann.ID, 1), "wiki.example.com"
		ofNoHost := token(ann.ID, 2)
		ofNoHost.Parent = child.Parent
		orphan := token(ann.ID, 2)
		orphan.Host = child.Host
		named, namedChild, session := token(ann.ID, 2), *child, token(ann.ID, 2)
		named.Name, namedChild.Name, session.Name, session.Generation = "git", "git", "git", 1
		for name, c := range map[string]*model.Change{
			"named token by a log-in":          {Token: named},
			"named token with a limit":         {Token: named, NoLogin: true, TokenLimit: 1},
			"named token for a host":           {Token: &namedChild, NoLogin: true},
			"named session":                    {Token: session, NoLogin: true},
			"child by a log-in":                {Token: child},
			"child that ends the others":       {Token: child, NoLogin: true, EndTokens: true},
			"child with a limit":               {Token: child, NoLogin: true, TokenLimit: 1},
			"child with a change":              {Token: child, NoLogin: true, Account: before},
			"child for no host":                {Token: ofNoHost, NoLogin: true},
			"token for a host, no parent":      {Token: orphan, NoLogin: true},
			"Delete without an account":        {Delete: true},
			"Delete with a token":              {Account: before, Delete: true, Token: token(ann.ID, 2)},
			"EndTokens without an account":     {EndTokens: true},
			"TokenLimit without an account":    {TokenLimit: 1},
			"account with a version and no id": {Account: stray},
			"account with too large an id":     {Account: huge},
		} {
			if c.Validate() == nil {
				s.Errorf("%s: Validate finds it legal", name)
			}
			c.Mails = []*model.Mail{{Purpose: model.PurposeActivation, Due: base}}
			if err := s.Commit(s.ctx, c); err == nil {
				s.Errorf("%s: applied", name)
			}
		}
		s.equal(s.account(ann.ID), before)
		s.equal(s.usernames(), []string{"ann"})
		s.equal(s.tokens(ann.ID), []int{1})
		s.equal(s.counted(), model.Stats{Accounts: 1, Tokens: 1})
	}},
}
