package djoser

import (
	"slices"
	"strconv"

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

// record records what was done, or failed. A deed that failed is called by its
// action.
func (r *realm) record(d deed) {
	r.metrics.acted(d.action, d.outcome)
	name, level := d.event, zapcore.InfoLevel
	if d.outcome != outcomeOK {
		name, level = d.action+"_failed", zapcore.WarnLevel
	}
	if entry := r.audit.Check(level, name); entry != nil {
		entry.Write(r.auditFields(&d)...)
	}
	if slices.Contains(caddyEvents, name) {
		r.emit("djoser_"+name, &d)
	}
}

func (r *realm) auditFields(d *deed) []zap.Field {
	fields := []zap.Field{zap.String("action", d.action), zap.String("outcome", d.outcome), zap.String("by", d.by)}
	if d.account != nil && d.account.ID != 0 {
		fields = append(fields, zap.Uint64("user_id", d.account.ID), zap.String("username", r.model.name(d.account)))
	}
	if d.client.address != "" {
		fields = append(fields, zap.String("address", d.client.address))
	}
	if d.client.agent != "" {
		fields = append(fields, zap.String("agent", cutAgent(d.client.agent)))
	}
	return fields
}

// emit is done when every handler of the event is: the request waits for them.
func (r *realm) emit(name string, d *deed) {
	if r.events == nil || !r.events.ShouldEmit(name) {
		return
	}
	data := map[string]any{"realm": r.name, "outcome": d.outcome, "by": d.by, "address": d.client.address}
	if d.account != nil && d.account.ID != 0 {
		data["user_id"], data["username"] = strconv.FormatUint(d.account.ID, 10), r.model.name(d.account)
	}
	r.events.Emit(r.eventContext, name, data)
}
