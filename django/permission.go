package django

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
)

// note reads a row that is neither a user nor refers to one.
func (im *importer) note(ctx context.Context, row *Row) error {
	switch row.Model {
	case "contenttypes.contenttype":
		return im.noteContentType(row)
	case "auth.permission":
		return im.notePermission(row)
	case "auth.group":
		return im.group(ctx, row)
	case codeDeviceModel:
		return im.noteCodeDevice(row)
	case im.model, TokenModel, DeviceModel, IdentityModel, CodeModel:
		return nil
	}
	im.mu.Lock()
	im.report.LeftOut[row.Model]++
	first := im.report.LeftOut[row.Model] == 1
	im.mu.Unlock()
	if _, ok := row.Fields["last_login"]; first && ok && im.options.Phase == PhaseCheck {
		im.problem(row, true, "rows of this model look like users, and are left out: the model to import is %s", im.model)
	}
	return nil
}

func (im *importer) noteContentType(row *Row) error {
	id, err := row.id()
	app, appErr := row.text("app_label")
	model, modelErr := row.text("model")
	if err == nil && appErr == nil && modelErr == nil && id != 0 {
		im.contentTypes[id] = [2]string{app, model} // no lock: the workers don't use it
	}
	return nil
}

func (im *importer) notePermission(row *Row) error {
	id, err := row.id()
	codename, nameErr := row.text("codename")
	if err != nil || nameErr != nil || id == 0 {
		return nil
	}
	raw := row.Fields["content_type"]
	natural := naturalKey(raw, 2)
	if natural == nil {
		of, err := parseID(raw)
		if t, ok := im.contentTypes[of]; err == nil && ok {
			natural = t[:]
		}
	}
	if natural != nil {
		im.names.Lock()
		defer im.names.Unlock()
		im.permissions[id] = permissionName([]string{codename, natural[0], natural[1]})
	}
	return nil
}

// permissionsOf returns the names of the permissions in a field.
func (im *importer) permissionsOf(row *Row, field string) ([]string, error) {
	keys, err := row.keys(field)
	if err != nil {
		return nil, err
	}
	im.names.RLock()
	defer im.names.RUnlock()
	var names []string
	for _, key := range keys {
		if natural := naturalKey(key, 3); natural != nil {
			names = append(names, permissionName(natural))
			continue
		}
		id, err := parseID(key)
		if err != nil {
			return nil, fmt.Errorf("%s has a permission that is neither an id nor a natural key", field)
		}
		names = append(names, cmp.Or(im.permissions[id], strconv.FormatUint(id, 10)))
	}
	return names, nil
}
