package lookup

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Branch is one of the business's places.
type Branch struct {
	Name    string `koanf:"name"` // as triage.branches has it
	Address string `koanf:"address"`
	At      string `koanf:"at"`  // "latitude, longitude", in degrees
	Map     string `koanf:"map"` // a link
}

// Point is a place on the earth, in degrees.
type Point struct{ Lat, Lon float64 }

func (p Point) valid() bool {
	return math.Abs(p.Lat) <= 90 && math.Abs(p.Lon) <= 180 && (p.Lat != 0 || p.Lon != 0)
}

func (b Branch) at() (Point, bool) {
	lat, lon, ok := strings.Cut(b.At, ",")
	return PointOf(lat, lon, ok)
}

// PointOf reads two numbers as they are written; ok false: they were not there.
func PointOf(lat, lon string, ok bool) (Point, bool) {
	a, err := strconv.ParseFloat(strings.TrimSpace(lat), 64)
	b, err2 := strconv.ParseFloat(strings.TrimSpace(lon), 64)
	if p := (Point{a, b}); ok && err == nil && err2 == nil && p.valid() {
		return p, true
	}
	return Point{}, false
}

// earth is its mean radius, in kilometres. That it is no sphere makes distances wrong by 0.5 % at most: under 500 m up
// to 100 km.
const earth = 6371.0088

// Kilometres is how far two points are apart, as the crow flies (the haversine formula).
func Kilometres(a, b Point) float64 {
	rad := func(d float64) float64 { return d * math.Pi / 180 }
	lat, lon := math.Sin(rad(b.Lat-a.Lat)/2), math.Sin(rad(b.Lon-a.Lon)/2)
	h := lat*lat + math.Cos(rad(a.Lat))*math.Cos(rad(b.Lat))*lon*lon
	return 2 * earth * math.Asin(math.Sqrt(min(h, 1)))
}

// Nearest is the branch that is nearest to a point, and how far it is; nil: there is none.
func Nearest(branches []Branch, to Point) (*Branch, float64) {
	type far struct {
		b  *Branch
		km float64
	}
	var all []far
	for i := range branches {
		if at, ok := branches[i].at(); ok {
			all = append(all, far{&branches[i], Kilometres(at, to)})
		}
	}
	if len(all) == 0 {
		return nil, 0
	}
	best := slices.MinFunc(all, func(a, b far) int { return cmp.Compare(a.km, b.km) })
	return best.b, best.km
}

// PointIn finds the coordinates in a customer's location, whatever its messenger calls them.
func PointIn(location json.RawMessage) (Point, bool) {
	var doc any
	if len(location) == 0 || json.Unmarshal(location, &doc) != nil {
		return Point{}, false
	}
	return pointIn(doc, 0)
}

func pointIn(doc any, deep int) (Point, bool) {
	m, ok := doc.(map[string]any)
	if !ok || deep > 3 {
		return Point{}, false
	}
	first := func(names ...string) (string, bool) {
		for _, name := range names {
			if v := value(m[name], ""); v != "" {
				return v, true
			}
		}
		return "", false
	}
	lat, ok := first("latitude", "lat")
	lon, ok2 := first("longitude", "lon", "lng", "long")
	if ok && ok2 {
		return PointOf(lat, lon, true)
	}
	for _, name := range []string{"coordinates", "location", "geo", "point"} {
		if p, ok := pointIn(m[name], deep+1); ok {
			return p, true
		}
	}
	return Point{}, false
}
