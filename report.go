package djoser

// deed is something that was asked of an account, and what came of it.
type deed struct {
	action  string // name of the endpoint; admin_ and what it does
	event   string // what it is called where it was done
	outcome string // ok, or why not
	account *Account
	by      string // owner or admin
	client  client
}

// Outcomes, beside ok.
const (
	outcomeOK        = "ok"
	outcomeRefused   = "refused" // the request can't be meant
	outcomeWrong     = "wrong_password"
	outcomeDisabled  = "inactive"
	outcomeLink      = "bad_link"
	outcomeTaken     = "taken"
	outcomeThrottled = "throttled"
	outcomeBusy      = "busy"  // too many passwords are being hashed
	outcomeError     = "error" // of the store
)
