package djoser

import (
	"slices"
	"strconv"

	"github.com/caddy-djoser/djoser/account"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// What happens to accounts is told in three ways: as a line of the logger
// djoser.audit, as a metric, and what others may want to act upon as an event
// of Caddy. None of them holds a password, a token or a link, nor what was
// typed as the name of an account that there is not: it may be a password in
// the wrong field.

// caddyEvents are the events that are emitted, with djoser_ before the name.
var caddyEvents = []string{
	"user_registered", "user_activated", "logged_in", "login_failed", "logged_out",
	"password_changed", "password_reset", "username_changed", "user_deleted",
}

// reporter is told what happens to the accounts of a realm.
type reporter struct {
	*realmMetrics
	realm *realm
}

// Report implements account.Reporter. An event that failed has the name of its
// action.
func (p reporter) Report(d account.Event) {
	r := p.realm
	r.metrics.acted(d.Action, d.Outcome)
	name, level := d.Name, zapcore.InfoLevel
	if d.Outcome != account.OutcomeOK {
		name, level = d.Action+"_failed", zapcore.WarnLevel
	}
	if entry := r.audit.Check(level, name); entry != nil {
		entry.Write(r.auditFields(&d)...)
	}
	if slices.Contains(caddyEvents, name) {
		r.emit("djoser_"+name, &d)
	}
}

func (r *realm) auditFields(d *account.Event) []zap.Field {
	fields := []zap.Field{zap.String("action", d.Action), zap.String("outcome", d.Outcome), zap.String("by", d.By)}
	if d.Account != nil && d.Account.ID != 0 {
		fields = append(fields, zap.Uint64("user_id", d.Account.ID), zap.String("username", r.model.Name(d.Account)))
	}
	if d.Client.Address != "" {
		fields = append(fields, zap.String("address", d.Client.Address))
	}
	if d.Client.Agent != "" {
		fields = append(fields, zap.String("agent", account.CutAgent(d.Client.Agent)))
	}
	return fields
}

// emit is done when every handler of the event is: the request waits for them.
func (r *realm) emit(name string, d *account.Event) {
	if r.events == nil || !r.events.ShouldEmit(name) {
		return
	}
	data := map[string]any{"realm": r.name, "outcome": d.Outcome, "by": d.By, "address": d.Client.Address}
	if d.Account != nil && d.Account.ID != 0 {
		data["user_id"], data["username"] = strconv.FormatUint(d.Account.ID, 10), r.model.Name(d.Account)
	}
	r.events.Emit(r.eventContext, name, data)
}
