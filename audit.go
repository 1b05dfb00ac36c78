package djoser

import (
	"slices"
	"strconv"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Each account.Event becomes a line of the logger djoser.audit and a metric, and
// some become an event of Caddy. None contains a password, a token, a link, or the
// name of an account that doesn't exist: it may be a password in the wrong field.

// caddyEvents are emitted as events of Caddy, with the prefix djoser_.
var caddyEvents = []string{
	"user_registered", "user_activated", "logged_in", "login_failed", "logged_out",
	"password_changed", "password_reset", "username_changed", "user_deleted",
	"identity_linked", "identity_removed", "passkey_added", "passkey_removed",
}

// reporter logs, counts and emits the events of a realm.
type reporter struct {
	*realmMetrics
	realm *realm
}

// Report implements account.Reporter. A failed event is named for its action.
func (p reporter) Report(e account.Event) {
	r := p.realm
	p.acted(e.Action, e.Outcome)
	name, level := e.Name, zapcore.InfoLevel
	if e.Outcome != account.OutcomeOK {
		name, level = e.Action+"_failed", zapcore.WarnLevel
	}
	if entry := r.audit.Check(level, name); entry != nil {
		entry.Write(r.auditFields(&e)...)
	}
	if slices.Contains(caddyEvents, name) {
		r.emit("djoser_"+name, &e)
	}
}

// Mailed implements account.Reporter. That a limit left out a mail is logged, since the answer to
// a request doesn't show it. The address isn't: it may be anybody's.
func (p reporter) Mailed(outcome string, mails ...*model.Mail) {
	p.realmMetrics.Mailed(outcome, mails...)
	if outcome != account.OutcomeThrottled {
		return
	}
	for _, m := range mails {
		p.realm.log.Info("a mail is left out: its mailbox has had as many as the limits allow", zap.String("purpose", string(m.Purpose)))
	}
}

// reportStore emits an event of Caddy when the store fails, and when it works again. It
// waits until Caddy runs: events can't be handled before.
func (r *realm) reportStore(fault *error) {
	select {
	case <-r.running:
	case <-r.eventContext.Done():
		return
	}
	name, data := "djoser_store_recovered", map[string]any{"realm": r.name, "store": r.location}
	if fault != nil {
		name, data["error"] = "djoser_store_failed", (*fault).Error()
	}
	r.events.Emit(r.eventContext, name, data)
}

func (r *realm) auditFields(e *account.Event) []zap.Field {
	fields := []zap.Field{zap.String("action", e.Action), zap.String("outcome", e.Outcome), zap.String("by", e.By)}
	if e.Account != nil && e.Account.ID != 0 {
		fields = append(fields, zap.Uint64("user_id", e.Account.ID), zap.String("username", r.model.Name(e.Account)))
	}
	if e.Client.Address != "" {
		fields = append(fields, zap.String("address", e.Client.Address))
	}
	if e.Client.Agent != "" {
		fields = append(fields, zap.String("agent", account.CutAgent(e.Client.Agent)))
	}
	return fields
}

// emit emits an event of Caddy. It returns when every handler has.
func (r *realm) emit(name string, e *account.Event) {
	if r.events == nil || !r.events.ShouldEmit(name) {
		return
	}
	data := map[string]any{"realm": r.name, "outcome": e.Outcome, "by": e.By, "address": e.Client.Address}
	if e.Account != nil && e.Account.ID != 0 {
		data["user_id"], data["username"] = strconv.FormatUint(e.Account.ID, 10), r.model.Name(e.Account)
	}
	r.events.Emit(r.eventContext, name, data)
}
