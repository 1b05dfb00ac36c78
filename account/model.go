package account

import "github.com/caddy-djoser/djoser/model"

// The words of package model, for packages that know accounts by this one.

type (
	Account         = model.Account
	BackupStore     = model.BackupStore
	Change          = model.Change
	Digest          = model.Digest
	Factor          = model.Factor
	FaultStore      = model.FaultStore
	Field           = model.Field
	FieldError      = model.FieldError
	FieldSettings   = model.FieldSettings
	FormerEmail     = model.FormerEmail
	Group           = model.Group
	GroupStore      = model.GroupStore
	Identity        = model.Identity
	Invitation      = model.Invitation
	InvitationStore = model.InvitationStore
	JournalStore    = model.JournalStore
	Key             = model.Key
	Mail            = model.Mail
	Model           = model.Model
	NamesError      = model.NamesError
	Passkey         = model.Passkey
	Proof           = model.Proof
	Purpose         = model.Purpose
	Renewal         = model.Renewal
	Stats           = model.Stats
	Store           = model.Store
	TakenError      = model.TakenError
	Token           = model.Token
	UserModel       = model.UserModel
	Values          = model.Values
)

const (
	MaxGroup               = model.MaxGroup
	MaxGroups              = model.MaxGroups
	MaxID                  = model.MaxID
	MaxReserved            = model.MaxReserved
	MaxSetBack             = model.MaxSetBack
	PurposeAccountExists   = model.PurposeAccountExists
	PurposeActivation      = model.PurposeActivation
	PurposeApproved        = model.PurposeApproved
	PurposeConfirmation    = model.PurposeConfirmation
	PurposeEmailChange     = model.PurposeEmailChange
	PurposeEmailNotice     = model.PurposeEmailNotice
	PurposeFactorOff       = model.PurposeFactorOff
	PurposeFactorOn        = model.PurposeFactorOn
	PurposeIdentityLinked  = model.PurposeIdentityLinked
	PurposeIdentityRemoved = model.PurposeIdentityRemoved
	PurposeInvitation      = model.PurposeInvitation
	PurposePasskeyAdded    = model.PurposePasskeyAdded
	PurposePasskeyRemoved  = model.PurposePasskeyRemoved
	PurposePasswordChanged = model.PurposePasswordChanged
	PurposePasswordReset   = model.PurposePasswordReset
	PurposeRejected        = model.PurposeRejected
	PurposeTokenMade       = model.PurposeTokenMade
	PurposeUsernameChanged = model.PurposeUsernameChanged
	PurposeUsernameReset   = model.PurposeUsernameReset
	PurposeWaiting         = model.PurposeWaiting
	TokenLength            = model.TokenLength
)

var (
	ErrClosed      = model.ErrClosed
	ErrConflict    = model.ErrConflict
	ErrFull        = model.ErrFull
	ErrModel       = model.ErrModel
	ErrNotFound    = model.ErrNotFound
	ErrUnavailable = model.ErrUnavailable
)
