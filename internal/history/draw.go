package history

import (
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

// drawTime is how long orders are tried for a drawing.
const drawTime = 10 * time.Second

// draw writes a page that shows how far the operations of an account can be ordered, and returns
// its name.
func draw(ops []porcupine.Operation) string {
	file, err := os.CreateTemp("", "djoser-history*.html")
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	_, info := porcupine.CheckOperationsVerbose(model, ops, drawTime)
	if err := porcupine.Visualize(model, info, file); err != nil {
		return err.Error()
	}
	return file.Name()
}
