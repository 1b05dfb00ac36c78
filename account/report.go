package account

// Event is something that was asked of an account, and what came of it.
type Event struct {
	Action  string // name of the endpoint; admin_ and what it does
	Name    string // what it is called where it was done
	Outcome string // ok, or why not
	Account *Account
	By      string // owner or admin
	Client  Client
}

// Outcomes, beside ok.
const (
	OutcomeOK        = "ok"
	OutcomeRefused   = "refused" // the request can't be meant
	OutcomeWrong     = "wrong_password"
	OutcomeDisabled  = "inactive"
	OutcomeLink      = "bad_link"
	OutcomeTaken     = "taken"
	OutcomeThrottled = "throttled"
	OutcomeBusy      = "busy"  // too many passwords are being hashed
	OutcomeError     = "error" // of the store
)
