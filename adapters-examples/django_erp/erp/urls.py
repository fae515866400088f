"""The URLs of the ERP's pages."""

from books import views
from django.conf import settings
from django.urls import include, path
from django.views.static import serve

_INVOICE = "<slug:slug>/invoices/<str:number>"

urlpatterns = [
    path("", include("moorage_django.urls")),
    path("static/<path:path>", serve, {"document_root": settings.PAGES / "static"}),
    path("", views.companies),
    path("<slug:slug>/", views.invoices),
    path("<slug:slug>/customers/", views.customers),
    path("<slug:slug>/customers/<int:key>/", views.customer),
    path("<slug:slug>/log/", views.log),
    path(f"{_INVOICE}/", views.invoice),
    path(f"{_INVOICE}/pay", views.pay),
    path(f"{_INVOICE}/back/<int:attempt>/", views.back),
    path(f"{_INVOICE}/look-up", views.look_up),
    path(f"{_INVOICE}/shipping/", views.shipping),
    path(f"{_INVOICE}/ship", views.ship),
    path(f"{_INVOICE}/track", views.track),
    path(f"{_INVOICE}/label.pdf", views.label),
    path(f"{_INVOICE}/mail", views.mail),
]

handler404 = views.missing
handler500 = views.broken
