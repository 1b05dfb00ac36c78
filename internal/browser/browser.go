// Package browser drives Debian's Chromium for tests, by the DevTools protocol.
package browser

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// timeout is how long one step may take before the test fails.
const timeout = 30 * time.Second

// Browser is a running Chromium.
type Browser struct {
	ctx context.Context
}

// Start starts Chromium, which resolves every name to 127.0.0.1 and accepts any
// certificate. It skips the test where there is no Chromium, and in short tests.
func Start(t testing.TB) *Browser {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Chromium, which takes a while")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("Chromium isn't installed: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.IgnoreCertErrors,
		chromedp.Flag("host-resolver-rules", "MAP * 127.0.0.1"),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("lang", "en"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocated)
	t.Cleanup(func() { // before its folder is removed
		_ = chromedp.Cancel(ctx)
		end()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return &Browser{ctx}
}

// Options are how a Tab shows pages.
type Options struct {
	Width    int  // of the window in pixels; 0: 1280
	NoScript bool // JavaScript is off
	Dark     bool // prefers-color-scheme: dark
}

// Tab is a tab with cookies of its own.
type Tab struct {
	T   testing.TB
	ctx context.Context
}

// New opens a tab with cookies of its own.
func (b *Browser) New(t testing.TB, o Options) *Tab {
	t.Helper()
	ctx, end := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(end)
	return open(t, ctx, o)
}

// Elsewhere opens a tab as on another device: with cookies of its own.
func (b *Tab) Elsewhere(o Options) *Tab {
	b.T.Helper()
	ctx, end := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	b.T.Cleanup(end)
	return open(b.T, ctx, o)
}

func open(t testing.TB, ctx context.Context, o Options) *Tab {
	t.Helper()
	// The first use of a context opens the tab, which ends with that context.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	tab := &Tab{t, ctx}
	tab.Show(o)
	return tab
}

// Show changes how the tab shows pages. Nothing moves in it, so that pictures are complete.
func (b *Tab) Show(o Options) {
	b.T.Helper()
	width, scheme := int64(o.Width), "light"
	if width == 0 {
		width = 1280
	}
	if o.Dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}
	b.Do(
		chromedp.EmulateViewport(width, 800),
		func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
			if _, err = cdp.Call(ctx, t, emulation.SetEmulatedMedia, media); err != nil {
				return none, err
			}
			_, err = cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: o.NoScript})
			return none, err
		},
	)
}

// Do runs actions of chromedp. The test fails with the page's text if one doesn't end.
func (b *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.T.Fatalf("%v at %s:\n%s", err, b.URL(), b.Text())
	}
}

// get runs an action with a value, which is empty if it fails, as while another page loads.
func get[V any](b *Tab, action chromedp.Action[V]) V {
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	value, _ := chromedp.Run(ctx, action)
	return value
}

// Go opens an address, as if it were typed.
func (b *Tab) Go(url string) {
	b.T.Helper()
	b.Do(chromedp.Navigate(url))
}

// Back goes back in the history.
func (b *Tab) Back() {
	b.T.Helper()
	b.Do(chromedp.NavigateBack())
}

// Fill replaces what is in a field of the form, by its name.
func (b *Tab) Fill(name, value string) {
	b.T.Helper()
	field := chromedp.CSS(`[name="` + name + `"]:not([type=hidden])`)
	b.Do(chromedp.Focus(field), chromedp.Evaluate[chromedp.Void]("document.activeElement.value = ''"), chromedp.SendKeys(field, value))
}

// Click clicks on the first element with a selector, and waits for the page that follows.
func (b *Tab) Click(selector string) {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible)); err != nil {
		b.T.Fatalf("clicking on %s: %v at %s:\n%s", selector, err, b.URL(), b.Text())
	}
}

// Press clicks on the button of the page, which leads to no other page by itself.
func (b *Tab) Press() {
	b.T.Helper()
	b.Do(chromedp.Click(chromedp.CSS("main button"), chromedp.NodeVisible))
}

// Submit sends the form that has a field, by its name.
func (b *Tab) Submit(name string) {
	b.T.Helper()
	b.Click(`form:has([name="` + name + `"]) button`)
}

// URL is the address of the page.
func (b *Tab) URL() string { return get(b, chromedp.Location()) }

// Text is the text of the page as it is shown, without the marks that isolate names from
// the direction of the text around them.
func (b *Tab) Text() string {
	return strings.NewReplacer("\u2068", "", "\u2069", "").Replace(get(b, chromedp.Text(chromedp.CSS("body"))))
}

// Want waits until the page has texts.
func (b *Tab) Want(texts ...string) {
	b.T.Helper()
	shown := b.Text()
	for start := time.Now(); !hasAll(shown, texts) && time.Since(start) < timeout; shown = b.Text() {
		time.Sleep(50 * time.Millisecond)
	}
	if !hasAll(shown, texts) {
		b.T.Fatalf("%q aren't all at %s:\n%s", texts, b.URL(), shown)
	}
}

func hasAll(shown string, texts []string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(shown, text) })
}

// Evaluate returns the value of a script, which may be a promise.
func Evaluate[V any](b *Tab, script string) V {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[V](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.T.Fatalf("evaluating: %v at %s:\n%s", err, b.URL(), script)
	}
	return value
}

// Screenshot returns a picture of the page as PNG.
func (b *Tab) Screenshot() []byte { return get(b, chromedp.CaptureScreenshot()) }
