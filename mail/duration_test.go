package mail

import (
	"testing"
	"time"
)

func TestHumanDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		72 * time.Hour:                 "3 days",
		24 * time.Hour:                 "1 day",
		25 * time.Hour:                 "25 hours",
		36 * time.Hour:                 "36 hours",
		time.Hour:                      "1 hour",
		90 * time.Minute:               "90 minutes",
		time.Minute:                    "1 minute",
		45 * time.Second:               "45 seconds",
		48*time.Hour + 30*time.Second:  "2 days",
		500*time.Hour + 20*time.Minute: "30020 minutes",
	} {
		if got := humanDuration(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}
