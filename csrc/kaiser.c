#include "kaiser.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

/* Modified Bessel function of the first kind, order 0, by its power series; x is at most 12 here. */
static double bessel_i0(double x)
{
    double term = 1.0, sum = 1.0;

    for (int k = 1; term > 1.0e-17 * sum; k++) {
        term *= (0.5 * x / k) * (0.5 * x / k);
        sum += term;
    }
    return sum;
}

/* The low-pass kernel, t in periods of the lower rate from its centre, not yet scaled to unit gain. */
static double kernel(const rt_kaiser *f, double t)
{
    double edge = 1.0 - (t / f->half) * (t / f->half);
    double angle = PI * f->cutoff * t;

    if (edge <= 0.0)
        return 0.0;
    return (fabs(angle) < 1.0e-9 ? 1.0 : sin(angle) / angle) * bessel_i0(f->beta * sqrt(edge));
}

void rt_kaiser_row(const rt_kaiser *filter, float *row, uint32_t taps, double age, double per_period)
{
    double sum = 0.0;

    for (uint32_t i = 0; i < taps; i++) {
        double tap = kernel(filter, ((double)(taps - 1 - i) + age) / per_period - filter->half);
        row[i] = (float)tap;
        sum += tap;
    }
    for (uint32_t i = 0; i < taps; i++)
        row[i] = (float)(row[i] / sum);
}
