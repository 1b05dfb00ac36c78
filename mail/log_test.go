package mail

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestLogMailerShowsTheLink(t *testing.T) {
	m, err := parseMailer[LogMailer](t, "log")
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	m.logger = zap.New(core)
	if err := m.Send(t.Context(), testMessage("someone@example.com")); err != nil {
		t.Fatal(err)
	}
	e := logs.All()[0]
	if e.Level != zapcore.InfoLevel || e.Message != "mail to someone@example.com: https://frontend.com/#/activate/MQ/secret-token" {
		t.Errorf("logged %v", e)
	}
	if f := e.ContextMap(); f["subject"] != "Hello" || f["text"] != testMessage("").Text {
		t.Errorf("fields %v", f)
	}
}
