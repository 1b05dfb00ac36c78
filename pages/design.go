package pages

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/internal/directive"
)

//go:embed templates/*.html assets/style.css assets/script.js
var builtIn embed.FS

// design is how the pages of a directive look.
type design struct {
	templates map[string]*template.Template // by the name of the page
	style     template.CSS
	script    file
	logo      *file // nil: none
}

// file is a file of the pages. Its name has a hash of its content, so that browsers may
// keep it.
type file struct {
	name    string
	media   string
	content []byte
}

func newFile(base, ext, media string, content []byte) file {
	sum := sha256.Sum256(content)
	return file{base + "." + hex.EncodeToString(sum[:8]) + ext, media, content}
}

// maxLogo is the maximum size of a logo in bytes.
const maxLogo = 1 << 20

// logoTypes are the media types of logos by extension.
var logoTypes = map[string]string{
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
	".gif": "image/gif", ".webp": "image/webp", ".avif": "image/avif",
}

// newDesign reads the files of the design.
func (p *Pages) newDesign() (*design, error) {
	style, err := builtIn.ReadFile("assets/style.css")
	if err != nil {
		return nil, err
	}
	script, err := builtIn.ReadFile("assets/script.js")
	if err != nil {
		return nil, err
	}
	d := &design{style: colors(p.Color) + template.CSS(style), script: newFile("script", ".js", "text/javascript; charset=utf-8", script)}
	if p.Logo != "" {
		if d.logo, err = readLogo(p.Logo); err != nil {
			return nil, fmt.Errorf("logo: %w", err)
		}
	}
	d.templates, err = loadTemplates(p.Templates)
	return d, err
}

// colors returns the style's variables of the color. In dark mode it is lightened, with
// dark text on it.
func colors(color string) template.CSS {
	c, _ := parseColor(color)
	light := c.toward(white, darkCard)
	return template.CSS(fmt.Sprintf(":root{--accent:%s;--on-accent:#fff}@media (prefers-color-scheme:dark){:root{--accent:%s;--on-accent:#16181b}}\n", c, light))
}

func readLogo(path string) (*file, error) {
	ext := strings.ToLower(filepath.Ext(path))
	media, ok := logoTypes[ext]
	if !ok {
		return nil, fmt.Errorf("%s must be an image: .svg, .png, .jpg, .gif, .webp or .avif", path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxLogo || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s must be a file of at most 1 MiB", path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := newFile("logo", ext, media, content)
	return &f, nil
}

// serveFile serves the script or the logo, if the path is that of one.
func (d *design) serveFile(w http.ResponseWriter, r *http.Request, path string) bool {
	f := &d.script
	if path != f.name {
		f = d.logo
	}
	if f == nil || path != f.name || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", f.media)
	h.Set("Content-Length", strconv.Itoa(len(f.content)))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox") // an SVG that is opened may have styles, but no scripts
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(f.content)
	}
	return true
}

// Templates that every page has. page.html is the main part of pages that have no file
// of their own.
const (
	layoutFile = "layout.html"
	partsFile  = "parts.html"
	pageFile   = "page.html"
)

// templateFiles returns the possible names of templates.
func templateFiles() []string {
	names := []string{layoutFile, partsFile, pageFile}
	for _, name := range templateNames() {
		names = append(names, name+".html")
	}
	return names
}

// loadTemplates reads the templates of all pages. Files in dir replace the built-in ones.
func loadTemplates(dir string) (map[string]*template.Template, error) {
	if err := checkTemplateNames(dir); err != nil {
		return nil, err
	}
	all := make(map[string]*template.Template)
	for _, name := range templateNames() {
		t := template.New(name)
		main := name + ".html"
		if ok, err := hasTemplate(dir, main); err != nil {
			return nil, err
		} else if !ok {
			main = pageFile
		}
		for _, file := range []string{layoutFile, partsFile, main} {
			path, text, err := readTemplate(dir, file)
			if err != nil {
				return nil, err
			}
			if _, err := t.New(path).Option("missingkey=error").Parse(text); err != nil {
				return nil, err
			}
			if file == main && t.Lookup("main") == nil {
				return nil, fmt.Errorf(`%s: it must define the template main: {{define "main"}} … {{end}}`, path)
			}
		}
		if t.Lookup("layout") == nil {
			return nil, fmt.Errorf(`templates: %s must define the template layout: {{define "layout"}} … {{end}}`, layoutFile)
		}
		all[name] = t
	}
	return all, nil
}

// checkTemplateNames refuses files that look like templates or texts but have another
// name, since they would never be used.
func checkTemplateNames(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("templates: %w", err)
	}
	names := templateFiles()
	for _, e := range entries {
		name := e.Name()
		text, isText := strings.CutSuffix(name, ".json")
		switch {
		case e.IsDir() || strings.HasPrefix(name, "."):
		case isText && directive.CheckLanguage(text) != nil:
			return fmt.Errorf("templates: %s is no file of texts: its name must be that of a language, such as fr.json", filepath.Join(dir, name))
		case strings.HasSuffix(name, ".html") && !slices.Contains(names, name):
			return fmt.Errorf("templates: %s is no template's name: they are %s", filepath.Join(dir, name), strings.Join(names, ", "))
		}
	}
	return nil
}

func hasTemplate(dir, name string) (bool, error) {
	if dir != "" {
		_, err := os.Stat(filepath.Join(dir, name))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
	}
	_, err := fs.Stat(builtIn, "templates/"+name)
	return err == nil, nil
}

// readTemplate reads a template from the folder, or else the built-in one.
func readTemplate(dir, name string) (path, text string, err error) {
	if dir != "" {
		path = filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		switch {
		case err == nil && !utf8.Valid(b):
			return "", "", fmt.Errorf("templates: %s is not in UTF-8: save it in that encoding", path)
		case err == nil:
			return path, strings.TrimPrefix(string(b), "\ufeff"), nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", "", fmt.Errorf("templates: %w", err)
		}
	}
	path = "templates/" + name
	b, err := builtIn.ReadFile(path)
	return path, string(b), err
}
