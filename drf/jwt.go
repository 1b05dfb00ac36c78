package drf

import "net/http"

// coded is the body of simplejwt's errors.
type coded struct {
	Detail   string         `json:"detail"`
	Code     string         `json:"code"`
	Messages []tokenMessage `json:"messages,omitempty"`
}

// tokenMessage is what is wrong with a token as one of a class.
type tokenMessage struct {
	Class   string `json:"token_class"`
	Type    string `json:"token_type"`
	Message string `json:"message"`
}

func codedError(detail, code string, messages ...tokenMessage) *Error {
	return &Error{Status: http.StatusUnauthorized, Body: coded{detail, code, messages}}
}

func accessError(message string) *Error {
	return codedError("Given token not valid for any token type", "token_not_valid", tokenMessage{"AccessToken", "access", message})
}

const (
	msgJWTInvalid = "Token is invalid or expired"
	msgJWTType    = "Token has wrong type"
	msgJWTUsed    = "Token is blacklisted"
)

// Errors in simplejwt's words: about the Authorization header, and about tokens in a body.
var (
	ErrJWTHeader   = codedError("Authorization header must contain two space-delimited values", "bad_authorization_header")
	ErrJWTInvalid  = accessError(msgJWTInvalid)
	ErrJWTType     = accessError(msgJWTType)
	ErrJWTInactive = codedError("User is inactive", "user_inactive")
	ErrJWTNotFound = codedError("User not found", "user_not_found")

	ErrRefreshInvalid = codedError(msgJWTInvalid, "token_not_valid")
	ErrRefreshType    = codedError(msgJWTType, "token_not_valid")
	ErrRefreshUsed    = codedError(msgJWTUsed, "token_not_valid")
	ErrNoAccount      = detailError(http.StatusUnauthorized, "No active account found with the given credentials")
)

// ErrVerifyUsed is an *Error of status 400 about a refresh token that was used before.
var ErrVerifyUsed = Invalid(NonField, msgJWTUsed)
