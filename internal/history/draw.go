package history

import (
	"os"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// draw writes a page that shows how far the history is linearizable, and returns its name.
func (h *History) draw(t testing.TB, bound time.Duration) string {
	file, err := os.CreateTemp("", "djoser-history*.html")
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	_, info := porcupine.CheckOperationsVerbose(model, h.late(bound), checkTime)
	if err := porcupine.Visualize(model, info, file); err != nil {
		return err.Error()
	}
	return file.Name()
}
