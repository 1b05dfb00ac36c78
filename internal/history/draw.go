package history

import (
	"os"
	"testing"

	"github.com/anishathalye/porcupine"
)

// draw writes a page that shows how far the operations of an account are linearizable, and
// returns its name.
func draw(t testing.TB, ops []porcupine.Operation) string {
	file, err := os.CreateTemp("", "djoser-history*.html")
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	_, info := porcupine.CheckOperationsVerbose(model, ops, checkTime)
	if err := porcupine.Visualize(model, info, file); err != nil {
		return err.Error()
	}
	return file.Name()
}
