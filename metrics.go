package djoser

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
	"github.com/prometheus/client_golang/prometheus"
)

// The metrics live as long as the process, and are registered with every
// configuration, so that counters survive a reload. Labels only have names from the
// configuration and from this module.
var (
	actionsTotal = newCounter("actions_total",
		"What was asked of accounts, by endpoint or command, and what came of it.", "realm", "action", "outcome")
	tokenChecksTotal = newCounter("token_checks_total",
		"Requests whose credentials were looked at: valid, anonymous, invalid, inactive, or error.", "realm", "outcome")
	mailsTotal = newCounter("mails_total",
		"Mails that were queued, sent, or given up (failed).", "realm", "purpose", "outcome")

	pwnedChecksTotal = newCounter("pwned_checks_total",
		"New passwords that the validator pwned asked about: found in a data breach, not_found, or failed without an answer.", "realm", "outcome")

	hashesWaiting = newGauge("hashes_waiting", "Passwords that wait to be hashed.")
	hashesRunning = newGauge("hashes_running", "Passwords that are being hashed.")
	hashesTotal   = newCounter("hashes_total",
		"Passwords that were hashed, or refused since the queue was full.", "realm", "outcome")
	hashSeconds = newHistogram("hash_seconds", "Time that hashing a password took.")
	hashWait    = newHistogram("hash_wait_seconds", "Time that a password waited to be hashed.")
)

const metricsNamespace, metricsSubsystem = "caddy", "djoser"

func newCounter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
	}, labels)
}

func newGauge(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
	}, []string{"realm"})
}

func newHistogram(name, help string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"realm"})
}

func (a *App) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		actionsTotal, tokenChecksTotal, mailsTotal, pwnedChecksTotal,
		hashesWaiting, hashesRunning, hashesTotal, hashSeconds, hashWait,
		storeCollector{a},
	}
}

// registerMetrics adds the metrics to the registry of a configuration.
func (a *App) registerMetrics(registry *prometheus.Registry) error {
	for _, c := range a.collectors() {
		if err := registry.Register(c); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			return err
		}
	}
	return nil
}

// realmMetrics are the metrics of one realm. The counters of token checks are looked
// up in advance, since every request needs one.
type realmMetrics struct {
	realm                                       string
	valid, anonymous, invalid, inactive, broken prometheus.Counter
}

func newRealmMetrics(realm string) *realmMetrics {
	checks := func(outcome string) prometheus.Counter { return tokenChecksTotal.WithLabelValues(realm, outcome) }
	return &realmMetrics{
		realm: realm,
		valid: checks("valid"), anonymous: checks("anonymous"), invalid: checks("invalid"),
		inactive: checks("inactive"), broken: checks("error"),
	}
}

// checked counts the outcome of a check of credentials.
func (m *realmMetrics) checked(id *authn.Identity, err error) {
	switch {
	case id != nil:
		m.valid.Inc()
	case err == nil:
		m.anonymous.Inc()
	case err == drf.ErrInactiveUser:
		m.inactive.Inc()
	case isRefusal(err):
		m.invalid.Inc()
	default:
		m.broken.Inc()
	}
}

// isRefusal reports whether an error is about the credentials, not the store. It is a
// function of its own because errors.As makes its target escape.
func isRefusal(err error) bool { return errors.As(err, new(*drf.Error)) }

func (m *realmMetrics) acted(action, outcome string) {
	actionsTotal.WithLabelValues(m.realm, action, outcome).Inc()
}

func (m *realmMetrics) pwnedChecked(outcome string) {
	pwnedChecksTotal.WithLabelValues(m.realm, outcome).Inc()
}

// Mailed implements account.Reporter. It leaves out mails without a recipient, which
// are queued to hide which addresses have an account.
func (m *realmMetrics) Mailed(outcome string, mails ...*model.Mail) {
	for _, mail := range mails {
		if mail.Account != 0 || mail.Address != "" {
			mailsTotal.WithLabelValues(m.realm, string(mail.Purpose), outcome).Inc()
		}
	}
}

// Hash implements account.Reporter.
func (m *realmMetrics) Hash(ctx context.Context, pool *password.Pool, who password.Caller, work func()) error {
	waiting, running := hashesWaiting.WithLabelValues(m.realm), hashesRunning.WithLabelValues(m.realm)
	waiting.Inc()
	came := time.Now()
	err := pool.Do(ctx, who, func() {
		waiting.Dec()
		running.Inc()
		defer running.Dec()
		began := time.Now()
		work()
		hashWait.WithLabelValues(m.realm).Observe(began.Sub(came).Seconds())
		hashSeconds.WithLabelValues(m.realm).Observe(time.Since(began).Seconds())
	})
	if err != nil {
		waiting.Dec()
		hashesTotal.WithLabelValues(m.realm, "refused").Inc()
		return err
	}
	hashesTotal.WithLabelValues(m.realm, "done").Inc()
	return nil
}

// storeCollector collects the sizes of the open stores.
type storeCollector struct{ app *App }

// storeTimeout bounds how long the metrics wait for a store.
const storeTimeout = 5 * time.Second

var (
	storeAccounts = storeDesc("store_accounts", "Accounts in the store.")
	storeTokens   = storeDesc("store_tokens", "Auth tokens in the store.")
	storeMails    = storeDesc("store_mails", "Mails in the outbox.")
	storeBytes    = storeDesc("store_bytes", "Size of the store on disk.")
	storeHealthy  = storeDesc("store_healthy", "1 if the store works, 0 if it has a fault or can't be opened.")
	cacheHits     = storeDesc("cache_hits_total", "Tokens that were checked without reading the store.")
	cacheMisses   = storeDesc("cache_misses_total", "Tokens that were looked up in the store.")
)

func storeDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(metricsNamespace, metricsSubsystem, name), help, []string{"realm"}, nil)
}

// Describe implements prometheus.Collector.
func (storeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{storeAccounts, storeTokens, storeMails, storeBytes, storeHealthy, cacheHits, cacheMisses} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It leaves out the numbers of a store that
// can't be read.
func (s storeCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	for _, r := range s.app.realms {
		gauge := func(d *prometheus.Desc, value float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, r.name)
		}
		shared := r.shared.Load()
		if shared == nil {
			gauge(storeHealthy, 0)
			continue
		}
		stats, err := shared.Stats(ctx)
		if shared.fault.Load() != nil || errors.Is(err, model.ErrUnavailable) {
			gauge(storeHealthy, 0)
		} else {
			gauge(storeHealthy, 1)
		}
		if err == nil {
			gauge(storeAccounts, float64(stats.Accounts))
			gauge(storeTokens, float64(stats.Tokens))
			gauge(storeMails, float64(stats.Mails))
			gauge(storeBytes, float64(stats.Bytes))
		}
		ch <- prometheus.MustNewConstMetric(cacheHits, prometheus.CounterValue, float64(shared.Hits()), r.name)
		ch <- prometheus.MustNewConstMetric(cacheMisses, prometheus.CounterValue, float64(shared.Misses.Load()), r.name)
	}
}

// Interface guard
var _ prometheus.Collector = storeCollector{}
