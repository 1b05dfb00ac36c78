package account

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// integerType is a whole number of 64 bits.
type integerType struct{}

func (integerType) Traits() fieldTraits {
	return fieldTraits{name: "integer", APIName: "integer", Zero: int64(0), Nullable: true, longest: maxText, canUnique: true}
}

func (integerType) Holds(v any) bool {
	_, ok := v.(int64)
	return ok
}

func (integerType) Parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	text = trimSpace(text)
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, strconv.ErrRange):
		return nil, []string{"Enter a whole number."}
	case text[0] == '-':
		return nil, []string{fmt.Sprintf("Ensure this value is greater than or equal to %d.", math.MinInt64)}
	}
	return nil, []string{fmt.Sprintf("Ensure this value is less than or equal to %d.", math.MaxInt64)}
}

// booleanType is true or false.
type booleanType struct{}

func (booleanType) Traits() fieldTraits {
	return fieldTraits{name: "boolean", APIName: "boolean", Zero: false, Checkbox: true, longest: maxWord}
}

func (booleanType) Holds(v any) bool {
	_, ok := v.(bool)
	return ok
}

func (booleanType) Parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	switch text {
	case "true", "t", "True", "1", "on":
		return true, nil
	case "false", "f", "False", "0", "":
		return false, nil
	}
	return nil, []string{fmt.Sprintf("'%s' value must be either True or False.", text)}
}

// dateType is a day, stored as text.
type dateType struct{}

func (dateType) Traits() fieldTraits {
	return fieldTraits{name: "date", APIName: "date", Zero: "", Nullable: true, longest: maxWord}
}

// Holds is false: text that was stored may be no date.
func (dateType) Holds(any) bool { return false }

func (dateType) Parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	t, err := time.Parse("2006-1-2", text) // as Django, which takes one digit for two
	if err != nil || t.Year() == 0 {
		return nil, []string{"Date has wrong format. Use one of these formats instead: YYYY[-MM[-DD]]"}
	}
	return t.Format("2006-01-02"), nil
}
